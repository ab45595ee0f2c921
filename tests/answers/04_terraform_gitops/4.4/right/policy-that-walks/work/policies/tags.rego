package main

import rego.v1

# All modules, however deep, by walking through what will be there.
all_resources contains resource if {
	walk(input.planned_values.root_module, [_, module])
	some resource in module.resources
	resource.mode == "managed"
	"tags" in object.keys(resource.values)
}

bad(resource) if {
	some key in ["Name", "Owner", "OnCall"]
	not resource.values.tags_all[key]
}

bad(resource) if {
	some key in ["Name", "Owner", "OnCall"]
	trim_space(resource.values.tags_all[key]) == ""
}

bad(resource) if not endswith(resource.values.tags_all.OnCall, "-oncall")

deny contains {"msg": sprintf("%s: look at its tags", [resource.address])} if {
	some resource in all_resources
	bad(resource)
}
