package main

import rego.v1

resources contains resource if {
	some resource in input.resource_changes
	resource.mode == "managed"
	"tags" in object.keys(resource.change.after)
}

keys(resource) := {lower(key) | resource.change.after.tags[key] != ""} | {lower(key) | resource.change.after.tags_all[key] != ""}

deny contains message if {
	some resource in resources
	missing := {"name", "owner", "oncall"} - keys(resource)
	count(missing) > 0
	message := sprintf("%s: missing: %v", [resource.address, missing])
}

deny contains message if {
	some resource in resources
	not endswith(object.get(resource.change.after, ["tags_all", "OnCall"], "-oncall"), "-oncall")
	message := sprintf("%s: OnCall is no rota", [resource.address])
}
