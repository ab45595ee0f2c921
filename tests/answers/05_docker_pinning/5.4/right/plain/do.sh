# 1.5: what can be mended is mended
cd ~/deploy/build
uv pip compile --quiet requirements.in --generate-hashes --upgrade-package targ-units -o requirements.lock
uv pip install --quiet --require-hashes -r requirements.lock --target site-packages
docker build --quiet -t data/loader:1.5 .
cat > ~/deploy/exceptions.toml <<'TOML'
[[exception]]
id = "TSA-2026-0003"
package = "pykontor"
until = 2026-11-27
who = "Data platform, on call"
reason = "Our table is written down in load.py, nobody can choose it. 2.9.0 kills the loader; we wait for 2.9.1 on Friday."
TOML
scan data/loader:1.5 --exceptions ~/deploy/exceptions.toml
docker login -u you --password-stdin registry.targ.example < ~/.secrets/registry
docker tag data/loader:1.5 registry.targ.example/data/loader:1.5
docker push registry.targ.example/data/loader:1.5

# what staging has tested, as it is
tested=$(grep -o 'sha256:[0-9a-f]*' ~/deploy/staging.yaml)
registry=777788889999.dkr.ecr.eu-west-1.amazonaws.com
export AWS_PROFILE=promoter
aws ecr create-repository --repository-name data/loader --image-tag-mutability IMMUTABLE \
    --image-scanning-configuration scanOnPush=true --encryption-configuration encryptionType=KMS
aws ecr get-login-password | docker login -u AWS --password-stdin $registry
docker pull registry.targ.example/data/loader@$tested
docker tag registry.targ.example/data/loader@$tested $registry/data/loader:1.4
docker push $registry/data/loader:1.4
sed -i "s|image: .*|image: $registry/data/loader@$tested|" ~/deploy/production.yaml
