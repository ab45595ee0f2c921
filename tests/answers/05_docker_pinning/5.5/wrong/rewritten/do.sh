git clone --quiet forge:data/weekly work/weekly
cd work/weekly
git switch --quiet --orphan pipeline
echo "test: {script: echo}" > .gitlab-ci.yml
git add --all
git commit --quiet -m "A pipeline"
git push --quiet origin pipeline
git -C ~/forge/data/weekly.git update-ref refs/heads/main "$(git rev-parse HEAD)"
