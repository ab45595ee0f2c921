git clone --quiet forge:analytics/churn work/churn-again
cd work/churn-again
cp ../churn/churn.ipynb ../churn/cities.py .
git checkout --quiet -b fresh
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
printf '.env\n**/data/\n*checkpoint*\n' > .gitignore
git add .
git commit --quiet -m "Churn by city"
git push --quiet -u origin fresh
opslab mr create fresh --title "Churn by city, a notebook" --description "For the meeting on Thursday, code only, no data."
opslab mr merge 1 --method squash
