opslab mr -R platform/exports comment 1 "atlantis unlock"
opslab mr -R platform/exports show 1
