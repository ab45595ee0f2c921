python - <<'PY'
import configparser
import pathlib

import boto3

path = pathlib.Path.home() / ".aws/credentials"
profiles = configparser.RawConfigParser()
profiles.read(path)
old = profiles["alert-bot"]["aws_access_key_id"]
iam = boto3.Session(profile_name="staging-admin").client("iam")
new = iam.create_access_key(UserName="alert-bot")["AccessKey"]
profiles["alert-bot"].update({"aws_access_key_id": new["AccessKeyId"], "aws_secret_access_key": new["SecretAccessKey"]})
profiles.write(path.open("w"))
iam.update_access_key(UserName="alert-bot", AccessKeyId=old, Status="Inactive")
PY
git clone --quiet forge:analytics/alerts work/alerts
cd work/alerts
git switch --quiet -c away
git rm --quiet config.env
sed -i 's/^source .*/export AWS_PROFILE=alert-bot/' alert.sh
git commit --quiet -am "Take config.env out"
git push --quiet -u origin away -o merge_request.create -o merge_request.title="Take config.env out" -o merge_request.description="Its key is switched off since this morning."
opslab mr merge 1
git fetch --quiet
git switch --quiet -c ignored origin/main
echo /config.env >> .gitignore
git add .gitignore
git commit --quiet -m "Ignore config.env"
git push --quiet -u origin ignored -o merge_request.create -o merge_request.title="Ignore config.env from now on" -o merge_request.description="So that it does not come back by mistake."
opslab mr merge 2
cd
cat > answers/2.4.txt <<'EOF'
commit: {{leak}}
still_in_history: yes
old_key: {{old_key}}
EOF
