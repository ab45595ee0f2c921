# As older Rego has it: without contains, if and in.
package main

import future.keywords

wanted := {"Name", "Owner", "OnCall"}

gone(resource) if resource.change.after == null

given(resource) := {key | resource.change.after.tags_all[key] != ""}

taggable(resource) if resource.change.after.tags_all

taggable(resource) if resource.change.after_unknown.tags_all

deny[message] {
	resource := input.resource_changes[_]
	resource.mode == "managed"
	not gone(resource)
	taggable(resource)
	missing := wanted - given(resource)
	count(missing) > 0
	message := sprintf("%s has no %v", [resource.address, missing])
}

deny[message] {
	resource := input.resource_changes[_]
	resource.mode == "managed"
	not gone(resource)
	taggable(resource)
	not endswith(resource.change.after.tags_all.OnCall, "-oncall")
	message := sprintf("%s calls somebody, and no rota", [resource.address])
}
