"""HL7 FHIR, R4 and R5: read, search, everything of a donor, and bulk export.

One table of sources (`resources.py`) says for each resource type which rows it is made of, who may read them, what they can be
searched by and how a row becomes the resource. Reading, searching, `$everything`, the bulk export and the CapabilityStatement are
all made from that table. docs/fhir.md says where each element comes from.
"""
