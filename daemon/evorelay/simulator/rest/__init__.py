"""Evolution's REST API, as far as a relay uses it, and doors for tests.

wire       HTTP by hand, so that an answer can be cut, dripped or never come
api        which call goes where; who may; what goes wrong with it
call       one call on its way: the instance, the body, the trouble with it
sending    message/*        chats      chat/*
instances  instance/*       webhooks   webhook/*
oddities   what is answered instead of the truth, on request
control    /simulator/*: ours, needs no key, and says and does nothing that would be worth one

Answers, their order of checks (instance before key) and their error texts are those captured from
1.8.2 and 2.3.6 (payloads/rest-live); what was not captured is from the source, as told in
research/evolution.md §4.
"""
