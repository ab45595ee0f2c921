git clone --quiet forge:data/weekly work/weekly
cd work/weekly
git switch --quiet -c pipeline
mkdir ci
cat > ci/all.sh <<'SCRIPT'
#!/bin/bash
# Builds, tests and scans; on main it pushes what has passed.
set -euo pipefail
image=registry.targ.example/data/weekly:$CI_COMMIT_SHA
docker build --tag "$image" .
docker run --rm "$image" python -m unittest
scan "$image"
if [ "${CI_COMMIT_BRANCH:-}" = main ]; then
    docker login -u "$REGISTRY_USER" -p "$REGISTRY_PASSWORD" registry.targ.example
    docker push "$image"
fi
SCRIPT
cat > .gitlab-ci.yml <<'YAML'
everything:
  script: bash ci/all.sh
YAML
git add --all
git commit --quiet -m "A pipeline builds, tests, scans and pushes"
git push --quiet origin pipeline
git -C ~/forge/data/weekly.git update-ref refs/heads/main "$(git rev-parse HEAD)"
