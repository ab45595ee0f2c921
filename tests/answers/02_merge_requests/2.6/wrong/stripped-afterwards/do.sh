cd work/churn
git reset --quiet --soft origin/main
git restore --staged .
printf 'data/\n.ipynb_checkpoints/\n.env\n' > .gitignore
git add .gitignore README.md churn.ipynb cities.py
git commit --quiet -m "A notebook about churn, and the cities in it"
python - <<'PY'
import json
import pathlib

path = pathlib.Path("churn.ipynb")
notebook = json.loads(path.read_text())
for cell in notebook["cells"]:
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None
path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
PY
git commit --quiet -am 'Strip the outputs'
git push --quiet -u origin churn-notebook -o merge_request.create -o merge_request.title="A notebook about churn by city" \
    -o merge_request.description="For the meeting on Thursday. Code only: outputs are stripped, the data stay in the lake."
opslab mr work
opslab mr merge 1
