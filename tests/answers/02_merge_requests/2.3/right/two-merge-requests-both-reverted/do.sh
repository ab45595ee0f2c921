git clone --quiet forge:analytics/loaders work/loaders
cd work/loaders
for subject in "Amounts in cents" "Tidy up"; do
    branch=revert-${subject%% *}
    git switch --quiet -c "$branch" origin/main
    git revert --no-edit "$(git log --format=%h --grep="^$subject" origin/main)"
    git push --quiet -u origin "$branch" -o merge_request.create -o merge_request.title="Revert what $subject did" \
        -o merge_request.description="Paweł asks for it: the reports are wrong since."
    opslab mr work
done
opslab mr merge 1
opslab mr merge 2
