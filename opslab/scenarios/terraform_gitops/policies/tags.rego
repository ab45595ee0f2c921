# What the platform team has against a plan: something without tags, or that nobody would be called for.
package main

import rego.v1

keys := ["Name", "Owner", "OnCall"]

# What exists after the apply, whether it is changed or not, and can have tags.
resources contains resource if {
	some resource in input.resource_changes
	resource.mode == "managed"
	"tags" in object.keys(resource.change.after)
}

# What AWS will have: tags_all is tags and default_tags together. Where one of them is empty, it is known after the apply only.
tag(resource, key) := trim_space(object.get(after, ["tags_all", key], object.get(after, ["tags", key], ""))) if {
	after := resource.change.after
}

deny contains message if {
	some resource in resources
	missing := [key | some key in keys; tag(resource, key) == ""]
	count(missing) > 0
	message := concat("", [resource.address, ": ", concat(", ", missing), " missing"])
}

deny contains message if {
	some resource in resources
	rota := tag(resource, "OnCall")
	rota != ""
	not endswith(rota, "-oncall")
	message := sprintf("%s: OnCall is %s, which is no rota: those end with -oncall", [resource.address, rota])
}
