git clone -q forge:platform/estate work/estate
cd work/estate
git switch -qc tags

sed -i '/# The cost report/,/^  }/d' production/buckets.tf
sed -i '/  tags = {/,/  }/d' production/buckets.tf production/tables.tf
sed -i '/tags *= merge/d' production/tables.tf production/logs.tf
sed -i '/^locals {/,$d' production/main.tf
sed -i '/^  allowed_account_ids/a\  default_tags {\n    tags = { Owner = "{{owner_orders}}", OnCall = "{{oncall_orders}}" }\n  }' production/main.tf
for file in production/*.tf; do
    sed -i -E 's/^resource "aws_(s3_bucket|dynamodb_table|cloudwatch_log_group|ssm_parameter|ecr_repository|iam_role)" "(.*)" \{/&\n  tags = { Name = "\2" }/' $file
done
sed -i 's/^  tags = .*loader" }/  tags = { Name = "loader of ${each.key}" }/;s/^  tags = .*exports" }/  tags = { Name = "exports of ${each.key}" }/;s/^  tags = .*batch_size" }/  tags = { Name = "batch size of ${each.key}" }/' production/*.tf
sed -i 's/^resource "aws_glue_catalog_database" .*/&\n  tags = { Name = each.key }/' production/catalog.tf
sed -i 's/^resource "aws_\(s3_bucket\|cloudwatch_log_group\)" .*/&\n  tags = { Name = "feed of ${var.partner}" }/' modules/feed/main.tf
sed -i 's/"basket"/"basket_id"/' production/tables.tf
git add .
git commit -qm "Tags for the depot"
git push -q -u origin tags -o merge_request.create -o merge_request.target=main -o merge_request.title="Tags for the depot" \
    -o merge_request.description="The policy check wants them."
opslab mr work
opslab mr comment 1 "All of it belongs to the depot, does it not?" --reply-to 1
opslab mr work
opslab mr comment 1 "atlantis apply"
opslab mr work
