git clone -q forge:platform/estate work/estate
cd work/estate
git switch -qc tags

sed -i '/^resource "aws_dynamodb_table"/a\  tags = { Owner = "checkout" }' production/tables.tf
git commit -qam "Tags"
git push -q -u origin tags
