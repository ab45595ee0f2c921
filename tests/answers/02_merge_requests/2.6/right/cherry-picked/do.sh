cd work/churn
git switch --quiet -c clean origin/main
git cherry-pick churn-notebook > /dev/null
git checkout churn-notebook -- README.md churn.ipynb
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
printf 'data/\n.ipynb_checkpoints/\n.env\n' > .gitignore
git add .gitignore README.md churn.ipynb
git commit --quiet -m "The notebook, without its outputs"
git push --quiet -u origin clean -o merge_request.create -o merge_request.title="A notebook about churn by city" \
    -o merge_request.description="For the meeting on Thursday. Code only: outputs are stripped, the data stay in the lake."
opslab mr work
opslab mr merge 1
