package main

import rego.v1

keys := ["Name", "Owner", "OnCall"]

# Whatever exists afterwards and is of a kind that can have tags.
stays contains resource if {
	some resource in input.resource_changes
	resource.mode == "managed"
	"tags" in object.keys(resource.change.after)
}

deny contains message if {
	some resource in stays
	some key in keys
	object.get(resource.change.after, ["tags_all", key], "") == ""
	message := sprintf("%s: %s is missing", [resource.address, key])
}

deny contains message if {
	some resource in stays
	not endswith(object.get(resource.change.after, ["tags_all", "OnCall"], ""), "-oncall")
	message := sprintf("%s: OnCall is no rota", [resource.address])
}
