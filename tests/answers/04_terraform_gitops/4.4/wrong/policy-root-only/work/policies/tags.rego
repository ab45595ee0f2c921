package main

import rego.v1

resources contains resource if {
	some resource in input.planned_values.root_module.resources
	resource.mode == "managed"
	"tags" in object.keys(resource.values)
}

deny contains message if {
	some resource in resources
	some key in ["Name", "Owner", "OnCall"]
	object.get(resource.values, ["tags_all", key], "") == ""
	message := sprintf("%s: %s is missing", [resource.address, key])
}

deny contains message if {
	some resource in resources
	not endswith(object.get(resource.values, ["tags_all", "OnCall"], ""), "-oncall")
	message := sprintf("%s: OnCall is no rota", [resource.address])
}
