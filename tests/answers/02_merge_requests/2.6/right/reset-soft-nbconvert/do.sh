cd work/churn
git reset --quiet --soft origin/main
git restore --staged .
jupyter nbconvert --clear-output --inplace churn.ipynb 2> /dev/null
printf 'data/\n.ipynb_checkpoints/\n.env\n' > .gitignore
git add .gitignore README.md churn.ipynb cities.py
git commit --quiet -m "A notebook about churn, and the cities in it"
git push --quiet -u origin churn-notebook -o merge_request.create -o merge_request.title="A notebook about churn by city" \
    -o merge_request.description="For the meeting on Thursday. Code only: outputs are stripped, the data stay in the lake."
opslab mr work
opslab mr merge 1
