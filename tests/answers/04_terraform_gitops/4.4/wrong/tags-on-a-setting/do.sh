git clone -q forge:platform/estate work/estate
cd work/estate
git switch -qc tags

sed -i '/^resource /a\  tags = { Name = "depot", Owner = "{{owner_orders}}", OnCall = "{{oncall_orders}}" }' production/registries.tf
git add .
git commit -qm "Tags for the depot"
git push -q -u origin tags -o merge_request.create -o merge_request.target=main -o merge_request.title="Tags for the depot" \
    -o merge_request.description="The policy check wants them."
opslab mr work
