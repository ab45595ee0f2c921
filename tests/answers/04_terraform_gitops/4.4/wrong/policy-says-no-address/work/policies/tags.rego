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
	object.get(resource.change.after, ["tags_all", key], "") == ""
	message := sprintf("%s is missing", [key])
}
