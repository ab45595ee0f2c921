aws s3 cp --quiet s3://targ-terraform-state/estate/production.tfstate state.json
python3 - <<'PY'
import json
state = json.load(open("state.json"))
state["resources"] = [one for one in state["resources"] if one["name"] != "messages_archive"]
state["serial"] += 1
json.dump(state, open("state.json", "w"))
PY
aws s3 cp --quiet state.json s3://targ-terraform-state/estate/production.tfstate --profile state-keeper
