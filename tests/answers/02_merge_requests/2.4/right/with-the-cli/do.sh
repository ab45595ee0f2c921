old=$(aws configure get aws_access_key_id --profile alert-bot)
set -- $(aws iam create-access-key --user-name alert-bot --profile staging-admin \
    --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text)
aws configure set aws_access_key_id "$1" --profile alert-bot
aws configure set aws_secret_access_key "$2" --profile alert-bot
aws sts get-caller-identity --query Arn --profile alert-bot
aws iam update-access-key --user-name alert-bot --access-key-id "$old" --status Inactive --profile staging-admin
git clone --quiet forge:analytics/alerts work/alerts
cd work/alerts
git switch --quiet -c no-keys-here
git rm --quiet config.env
echo config.env > .gitignore
sed -i 's/^source .*config.env.*/export AWS_PROFILE=alert-bot/; s/Who we are stands in config.env./Who we are: the profile alert-bot./' alert.sh
git add --all
git commit --quiet -m "Take the key out; the bot uses its profile"
git push --quiet -u origin no-keys-here -o merge_request.create -o merge_request.title="No key in the repository" \
    -o merge_request.description="The key was pushed last week and has been switched off today. The bot uses its profile."
opslab mr work
opslab mr merge 1
cd
cd work/alerts
commit=$(git log --format=%h -- config.env | tail -n 1)
key=$(git show "$commit:config.env" | grep -o 'AKIA[A-Z0-9]*')
printf 'commit: %s\nstill_in_history: yes\nold_key: %s\n' "$commit" "$key" > ~/answers/2.4.txt
