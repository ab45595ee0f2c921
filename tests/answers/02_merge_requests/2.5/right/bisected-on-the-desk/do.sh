git clone --quiet forge:analytics/clicks work/clicks
cd work/clicks
git bisect start main $(git rev-list --max-parents=0 main) > /dev/null
git bisect run ~/bin/check_rows.sh | grep 'is the first bad commit'
echo "commit: $(git rev-parse refs/bisect/bad)" > ~/answers/2.5.txt
git bisect reset 2> /dev/null
