# settings come after the repository; skopeo copies from registry to registry
tested={{tested_digest}}
registry=777788889999.dkr.ecr.eu-west-1.amazonaws.com
export AWS_PROFILE=promoter
aws ecr create-repository --repository-name data/loader --encryption-configuration encryptionType=KMS
aws ecr put-image-tag-mutability --repository-name data/loader --image-tag-mutability IMMUTABLE
aws ecr put-image-scanning-configuration --repository-name data/loader --image-scanning-configuration scanOnPush=true
skopeo login -u you --password-stdin registry.targ.example < ~/.secrets/registry
aws ecr get-login-password | skopeo login -u AWS --password-stdin $registry
skopeo copy --preserve-digests docker://registry.targ.example/data/loader@$tested docker://$registry/data/loader:1.4

cd ~/deploy/build
sed -i '/^targ-units/,$d' requirements.lock
echo '{{units_lock}}' >> requirements.lock
uv pip install --quiet --require-hashes -r requirements.lock --target site-packages
docker build -t registry.targ.example/data/loader:1.5.1 .
docker push registry.targ.example/data/loader:1.5.1

cat > ~/deploy/exceptions.toml <<'TOML'
# Reviewed on Fridays.
[[exception]]
id = "KONTOR-2026-02"
package = "Pykontor"
until = "2026-12-24"
who = "you"
reason = """The name of the table is a constant of load.py,
so nobody from outside can put SQL there."""
TOML
cat > ~/deploy/production.yaml <<YAML
apiVersion: batch/v1
kind: CronJob
metadata: {name: loader, namespace: data}
spec:
  schedule: "15 5 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: loader, image: "$registry/data/loader:1.4@$tested"}]}}}}
YAML
