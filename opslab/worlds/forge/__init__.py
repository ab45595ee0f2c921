"""A git forge in a folder: bare repositories, merge requests, reviewers and pipelines, driven by the real git.

git             the one door to git: nothing in a repository starts a program here
state           what is remembered: JSON files, a lock, events
receive         the hooks: protected branches, GitLab's push options, the answer behind `remote:`
diff            which files and lines change
owners          CODEOWNERS: whose approval is needed
merge_requests  discussion, approvals, what stands in the way, merging, reverting
repository      one bare repository; forge: all of them, and the people
reactions       what follows from a push or a comment: pipelines, reviewers, bots; worker
reviewers       colleagues with rules who read diffs
pipeline_file   the subset of .gitlab-ci.yml; pipeline: running it in the jail
page, serve     how a merge request looks, in the notebook and at a loopback address
commit_graph    branches and commits drawn, of any repository
untrusted       taking over what somebody handed in, and nothing that could run
cli             `opslab mr …`
"""
