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
cat > answers/2.4.txt <<'EOF'
commit: {{leak}}
still_in_history: yes
old_key: {{old_key}}
EOF
