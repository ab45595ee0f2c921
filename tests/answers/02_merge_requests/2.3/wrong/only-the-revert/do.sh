git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
git switch --quiet -c back-to-euros
git revert --no-edit $(git log --format=%h --grep="Amounts in cents")
git push --quiet -u origin back-to-euros -o merge_request.create -o merge_request.title="Amounts in euros again, please" \
    -o merge_request.description="Since Monday reports are off by a factor of 100."
opslab mr work
opslab mr merge 1
