git --git-dir forge/analytics/loaders.git update-ref refs/heads/main main~3
git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
git switch --quiet -c again
git commit --quiet --allow-empty -m "Start again from here"
git push --quiet -u origin again -o merge_request.create -o merge_request.title="Start again from the good state" \
    -o merge_request.description="What came after it was not good at all."
opslab mr merge 1
