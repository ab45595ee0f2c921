cd work/churn
git push --quiet -u origin churn-notebook -o merge_request.create -o merge_request.title="A notebook about churn by city" \
    -o merge_request.description="For the meeting on Thursday. Code only: outputs are stripped, the data stay in the lake."
opslab mr work
opslab mr merge 1
