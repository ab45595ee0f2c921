# The import has done its work; code that everybody reads needs no block about it.
cd work/reports/production
git switch -q main
git pull -q
git switch -qc tidy
sed -n '/^resource/,$p' {{made}}.tf | sed 's/"{{made}}" {/"by_hand" {/' >> storage.tf
git rm -q {{made}}.tf
printf '\nmoved {\n  from = aws_s3_bucket.{{made}}\n  to   = aws_s3_bucket.by_hand\n}\n' >> storage.tf
git add .
git commit -qm "The bucket of the {{made}} lives with the others"
git push -q -o merge_request.create -o merge_request.title="Tidy up after the import of the {{made}}" \
    -o merge_request.description="The import block has done its work. Only the address changes, nothing in AWS." -u origin tidy
opslab mr work
opslab mr comment 2 "atlantis apply"
opslab mr show 2
