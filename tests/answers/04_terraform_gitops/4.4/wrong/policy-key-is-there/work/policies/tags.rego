package main

import rego.v1

resources contains resource if {
	some resource in input.resource_changes
	resource.mode == "managed"
	"tags" in object.keys(resource.change.after)
}

deny contains message if {
	some resource in resources
	some key in ["Name", "Owner", "OnCall"]
	not key in object.keys(object.get(resource.change.after, "tags_all", {}))
	message := sprintf("%s: %s is missing", [resource.address, key])
}

deny contains message if {
	some resource in resources
	not endswith(object.get(resource.change.after, ["tags_all", "OnCall"], ""), "-oncall")
	message := sprintf("%s: OnCall is no rota", [resource.address])
}
