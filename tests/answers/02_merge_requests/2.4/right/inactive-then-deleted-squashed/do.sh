old=$(aws configure get aws_access_key_id --profile alert-bot)
set -- $(aws iam create-access-key --user-name alert-bot --profile staging-admin \
    --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text)
aws configure set aws_access_key_id "$1" --profile alert-bot
aws configure set aws_secret_access_key "$2" --profile alert-bot
aws sts get-caller-identity --query Arn --profile alert-bot
aws iam update-access-key --user-name alert-bot --access-key-id "$old" --status Inactive --profile staging-admin
aws iam delete-access-key --user-name alert-bot --access-key-id "$old" --profile staging-admin
git clone --quiet forge:analytics/alerts alerts
cd alerts
git checkout --quiet -b clean
git rm --quiet --cached config.env
printf '*.env\n!example.env\n' > .gitignore
printf 'export AWS_ACCESS_KEY_ID=...\nexport AWS_SECRET_ACCESS_KEY=...\n' > example.env
git add .gitignore example.env
git commit --quiet -m "config.env stays where it is needed, and out of here"
git push --quiet -u origin clean
opslab mr create clean --title "Keep config.env out of the repository" --description "Its key was public; the key is gone by now."
opslab mr merge 1 --method squash
cat > ~/answers/2.4.txt <<'EOF'
# found with git log -S AKIA
Commit: {{leak_long}}
Still in history: Yes
Old key: {{old_key}}
EOF
