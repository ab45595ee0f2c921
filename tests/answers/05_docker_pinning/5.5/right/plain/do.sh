git clone --quiet forge:data/weekly work/weekly
cd work/weekly
git switch --quiet -c pipeline
cat > .gitlab-ci.yml <<'YAML'
stages: [build, test, scan, push]

variables:
  IMAGE: $CI_PROJECT_PATH:$CI_COMMIT_SHA

build:
  stage: build
  script:
    - docker build -t "$IMAGE" .

test:
  stage: test
  script:
    - docker run --rm "$IMAGE" python -m unittest

scan:
  stage: scan
  script:
    - scan "$IMAGE"

push:
  stage: push
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - echo "$REGISTRY_PASSWORD" | docker login -u "$REGISTRY_USER" --password-stdin registry.targ.example
    - docker tag "$IMAGE" "registry.targ.example/$IMAGE"
    - docker push "registry.targ.example/$IMAGE"
YAML
git add --all
git commit --quiet -m "A pipeline builds, tests, scans and pushes"
git push --quiet origin pipeline
# What merging does in the end. The whole way, with runner and reviewer, is played in test_05_ci.py.
git -C ~/forge/data/weekly.git update-ref refs/heads/main "$(git rev-parse HEAD)"
