"""An AWS organisation on the laptop, with IAM enforced as AWS documents it.

policy          does AWS say yes or no? the evaluation logic, pure
policy_grammar  would AWS take this document?
operations      from an API call to what IAM is asked
context         the condition keys of a request
signature       is it signed by the key it names?
state           what the guard reads from moto; moto_fixes: where moto is put right
documents       policy documents and sessions that come with a call
wording         refusals in AWS's words
guard           all of these in a row, as a WSGI application around moto
organisation    accounts and an endpoint: the thing to use
explain, graph  why was that denied; who can become whom
ecr          images: tokens, true digests, and what a registry asks
"""
