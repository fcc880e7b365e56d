"""The words of each topic that people must look at. Few on purpose: each hit costs a person's time."""

from enum import StrEnum


class Topic(StrEnum):
    """What people must look at."""

    POLITICS = "politics"
    HEALTH_ADVICE = "health_advice"
    FINANCIAL_ADVICE = "financial_advice"
    LEGAL_CLAIMS = "legal_claims"


TOPICS = {
    Topic.POLITICS: (
        "election",
        "elections",
        "presidential",
        "parliament",
        "political party",
        "political parties",
        "politician",
        "politicians",
    ),
    Topic.HEALTH_ADVICE: (
        "diagnosis",
        "diagnosed",
        "symptom",
        "symptoms",
        "dosage",
        "dosages",
        "prescription",
        "prescriptions",
        "medication",
        "medications",
        "allergy",
        "allergies",
        "allergic",
        "pregnant",
        "pregnancy",
    ),
    Topic.FINANCIAL_ADVICE: (
        "invest advice",
        "investment advice",
        "investing advice",
        "should I invest",
        "stock tip",
        "stock tips",
        "tax advice",
        "mortgage advice",
    ),
    Topic.LEGAL_CLAIMS: (
        "lawyer",
        "lawyers",
        "attorney",
        "attorneys",
        "lawsuit",
        "lawsuits",
        "legal action",
        "sue you",
        "small claims",
        "in court",
        "solicitor",
        "solicitors",
    ),
}
