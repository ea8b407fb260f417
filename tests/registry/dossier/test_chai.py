"""The model card of CHAI: the elements of its schema, with the figures of the evaluation."""

from xml.etree import ElementTree

from pneumo.registry.dossier import chai
from pneumo.registry.dossier.facts import Facts
from pneumo.registry.dossier.item_answers import Answers

# What schema v0.2 prescribes: the elements of each element, in this order; of the optional ones those that are used.
PRESCRIBED = {
    "AppliedModelCard": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings TrustIngredients KeyMetrics "
    "Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability RegulatoryApproval",
    "ModelSummary": "Summary Keywords",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse TargetedPatientPopulation "
    "CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels InputDataSource OutputAndInputDataTypes "
    "DevelopmentDataCharacterization BiasMitigationApproaches OngoingMaintenance Security Transparency",
    "TransparencyInformation": "FundingSource ThirdPartyInformation StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    "Resources": "EvaluationReferences ClinicalTrial PeerReviewedPublications ReimbursementStatus "
    "PatientConsentOrDisclosure",
    **dict.fromkeys(
        ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"),
        "MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification",
    ),
    "MetricResult": "Label ValueJson",
}


def test_the_page_shows_the_figures_of_the_card_as_people_write_them(facts: Facts) -> None:
    shown = dict(chai.fields(chai.write(facts, Answers(facts))))
    auc = f"{facts.evaluation.test_auc:.3f}"
    assert shown["KeyMetrics / UsefulnessUsabilityEfficacy / Results / ROC AUC, test images"] == auc
    assert shown["KeyMetrics / FairnessEquity / Results / not done: ROC AUC by sex and age"] == "no figure"


def test_the_card_has_the_elements_of_its_schema_in_their_order(facts: Facts) -> None:
    root = ElementTree.fromstring(chai.write(facts, Answers(facts)))
    assert root.tag == "{https://mc.chai.org/v0.2/schema.xsd}AppliedModelCard"
    seen = set()
    for element in root.iter():
        name = element.tag.partition("}")[2]
        children = [child.tag.partition("}")[2] for child in element]
        if name in PRESCRIBED:
            seen.add(name)
            assert children == PRESCRIBED[name].split(), name
        elif name in ("Results", "Keywords"):
            assert set(children) == {"MetricResult" if name == "Results" else "Keyword"}
        else:
            assert not children and element.text, name
    assert seen == set(PRESCRIBED)
