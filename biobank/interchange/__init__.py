"""What the bank says to other systems in their own words: HL7 FHIR, GS1 EPCIS, W3C PROV, MIABIS and SPREC.

Nothing is recorded here: every package reads what the packages below it keep, and says of it only what stands there. A field that
nobody recorded is left out.
"""
