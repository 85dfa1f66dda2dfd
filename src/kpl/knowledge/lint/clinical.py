"""The words by which lint tells what a person feels, does or is told from what a medical picture shows. English.

All are for text in lower case, as in `words`.
"""

from __future__ import annotations

import re

_ILLS = (
    r"(?:\w+ )?(?:disease|infection|injur\w+|illness|inflammation|o?edema|virus|bacteri\w+|malignan\w+|cancer"
    r"|tumou?r|trauma|mutation|\w+itis|\w{3,}osis|\w{3,}emia)"
)
_PEOPLE = r"(?:adults?|people|persons?|patients?|individuals|women|men|boys|girls|children|infants|newborns|smokers)"
_SPAN = r"(?:days?|weeks?|months?|years?|decades?)"
_NUMBER = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fourteen|several|many|a few)"
_SYMPTOMS = (
    r"symptom\w*|asymptomatic|complain\w*|(?:chest|back|joint|abdominal|bone|eye|breast|knee|flank|sharp|dull"
    r"|severe|mild|pelvic|local|rebound|back) (?:pain|ache|tenderness|discomfort)|pain(?:ful|less)?(?! (?:au|perdu"
    r"|de))|ach(?:e|es|ing)|(?:head|stomach|tooth|ear)aches?|tenderness (?:over|on|to|in|of the)|itch(?:y|es|ing)?"
    r"|pruri\w+|burning sensation|fevers?|feverish|chills|cough(?:s|ing)?|sputum|sneez\w+|short(?:ness)? of breath"
    r"|breathless\w*|dyspn\w+|wheez\w+|fatigue|tiredness|malaise|nausea|vomit\w*|diarrh\w+|constipation"
    r"|night sweats|(?:weight|hearing|vision|visual|memory|appetite) (?:loss|gain)|loss of (?:(?:central"
    r"|peripheral) )?(?:vision|sight|appetite|weight|consciousness|function)|(?:blurred|impaired|double|central"
    r"|reduced) vision|visual impairment|blindness|photophobia|floaters|dizz\w+|seizures?|numbness|tingling"
    r"|morning stiffness|stiffness|(?:difficulty|painful|trouble) swallowing|dysphagia|heartburn|palpitations"
    r"|gives? (?:way|out)|range of motion|crepitus|weakness|disabilit(?:y|ies)"
    r"|(?:reduced|limited|restricted|impaired|loss of) mobility"
    r"|urgency|tenesmus|defecat\w+"
    r"|bowel movements?|exacerbat\w*|worsen\w*|flare-?ups?"
)
_TOUCHED = (
    r"palpa\w+|auscultat\w+|(?:on|to) percussion|compressible|to the touch|under the fingers?|(?:blanch\w*|with"
    r"|under) pressure|(?:when|if) (?:pressed|pinched|palpated|touched|scratched|squeezed)|feels? (?:hard|soft"
    r"|firm|warm|rubbery|smooth|rough|like)|bleeds? (?:easily|on contact|upon contact|when)|breath sounds|crackles"
)
_COURSE = (
    r"prognos\w*|mortality|fatal|lethal|life-?threatening|(?:poor|median|overall|long-term|five-year"
    r"|\d-year) survival|surviv(?:al|es?) (?:of|rates?|within|after|for|beyond)|life (?:expectancy|span)|lifespan"
    r"|outcomes?"
    rf"|(?:within|after|over|in) (?:the (?:first|last) )?{_NUMBER} {_SPAN}|over (?:months|years|decades)|(?:stable"
    rf"|worse\w*|progress\w*|grows?|enlarg\w+|chang\w+|develops?) over time|(?:slow|fast|rapid)[- ]growing"
    r"|(?:grows?|develops?|progress\w*) (?:very )?(?:slowly|rapidly|quickly)|progress(?:es|ed|ing)? (?:to|into"
    r"|from|over)|progressive (?:disease|illness|disorder|condition|\w+opathy)|recur(?:s|rence|rent)?|relaps\w+"
    r"|remission|metasta(?:s\w+ to|tic potential)|malignant potential|(?:tends?|likely|able) to (?:metasta\w+"
    r"|recur|spread)|spreads? (?:to (?:the )?(?:\w+ )?(?:liver|lungs?|lymph|brain|bones?|nodes?|organs?)|early"
    r"|quickly|rapidly)|irreversible|self-limit\w+|heal(?:s|ing) (?:within|in|without|by|after)|(?:can|may|might"
    r"|could|will) (?:\w+ )?(?:lead to|result in|turn|progress|become malignant|precede|resolve)|(?:can|may|might"
    r"|could) (?:\w+ )?cause (?:\w+ ){0,2}(?:vision|sight|pain|death|loss|destruction|damage|blindness|failure"
    r"|symptoms?|complications?|disability|compression|obstruction|inflammation|infection|bleeding|cancer|\w+osis)|(?:benign"
    r"|malignant|aggressive) (?:in nature|behaviou?r|course)|aggressive (?:growth|and|cancer|tumou?r|in)|(?:is|are"
    r"|an|and|most|very|highly) aggressive|complications? of"
    r"|(?:variable|relapsing|remitting|indolent|chronic|clinical) course"
)
_TREATMENT = (
    r"treatments?|(?:un)?treated (?:with|by|early|promptly|in)|left untreated|if untreated|treatable|curable"
    r"|therap(?:y|ies) (?:with|by|of|may|is|can|slows?|helps?)|(?:anti\S+|drug|laser|radiation|medical) therapy"
    r"|(?:chemo|radio|immuno|photo|cryo)therapy|antibiotics?|antivirals?|antifungals?|antihistamines?"
    r"|(?:cortico)?steroids?|(?:pain|oral|topical|systemic|immun\w+|with|by|to|after|on) medications?"
    r"|cortisone|opioids?|contraceptive\w*|curative|vaccin\w+|surger(?:y|ies)|surgical(?:ly)? (?:remov\w+"
    r"|resect\w+|excis\w+|treat\w+|interven\w+|repair|procedure|drain\w+|correct\w+)|(?:responds?"
    r"|response) (?:(?:well|poorly|badly|best) to|to (?:\w+ )?(?:treat|therap|antib|steroid|drug|chemo|radi|medic"
    r"|inject|hormon)\w*)|(?:requir\w+|needs?) (?:\w+ ){0,2}(?:removal|resection|excision|drainage|surg\w+"
    r"|treat\w+|diagnos\w+|attention|biops\w+|hospital\w*|transplant\w*|monitoring|follow-up|further)"
    r"|managed (?:with|by|conservatively)|removed by|injections? (?:of|with)|sedation|antibiotic\w*|(?:be|is"
    r"|are) referred (?:to an?|for)|referral|follow-?up|watchful waiting"
    r"|by an? (?:\w+ologist|doctor|physician|clinician|specialist)|hospitali[sz]\w+"
)
_TESTS = (
    r"diagnos(?:is|es|ed|e|tic)|biops(?:y|ies) (?:\w+ )?(?:confirm\w*|show\w*|reveal\w*|is|are"
    r"|may|might|can|prove\w*|needed"
    r"|required)|(?:confirmed|proven|verified|diagnosed|established) (?:by|on|with|in|through)|(?:blood|laboratory"
    r"|lab|antigen|skin|genetic|urine|stool|function|breath) tests?|tests? positive|(?:positive"
    r"|negative) (?:\w+ ){0,2}test|serum|creatinine|h(?:a)?emoglobin level|(?:white|red) (?:blood )?cell count|pcr"
    r"|tonometry|intraocular pressure|eye pressure|blood (?:pressure|sugar)|(?:sputum|blood|urine|throat"
    r"|wound) cultures?|(?:elevated|raised) (?:levels?|blood|serum)"
)
_CAUSES = (
    rf"(?:more|most|less) (?:common|often|frequent\w*) (?:in|among) |(?:in|among|affects?"
    rf"|affecting) (?:\w+ ){{0,2}}(?:older|elderly|young|younger|middle-aged|pregnant|diabetic"
    rf"|heavy) (?:\w+ )?{_PEOPLE}|common in {_PEOPLE}|{_PEOPLE} (?:over|under|above|below|aged) |(?:over|under"
    rf"|above) (?:the age of )?(?:forty|fifty|sixty|seventy)"
    r"|patients? (?:with|who|often|may|is|are|present\w*|report\w*|suffer\w*|aged?)|by the patient"
    r"|illness(?:es)? of|years? old|years of age|age of onset|aged \d+|(?:middle|old|advanced) age|the age of \w+"
    r"|(?:adult|child)hood|infancy|adolescence|puberty|pregnancy|smokers?|smoking[- ]related|alcohol"
    r"|family history|(?:medical|clinical|smoking|travel) history"
    r"|history of (?:\w+ )?(?:smoking|cancer|trauma|surgery|exposure|disease|infection)|hereditary|genetic\w*"
    r"|inherit\w+|autosomal|(?<!-)risks?|dysfunction|heredity|leading cause|million (?:people|individuals|adults)"
    r"|predispos\w+|prevalen\w+|incidence|contagious|infectious|transmitted|percent of|consistent with"
    r"|suggestive of|sign of|caused by|aetiology|etiology|arises? (?:after|because)|(?:results?"
    r"|resulting) from (?:\w+ )?(?:exposure|lack|long-?standing|untreated|overuse)|linked (?:to|with)"
    rf"|(?:due to|suggest\w*|indicat\w+|associated with)(?: of)?(?: an?| the| various| long"
    rf"| chronic)? (?:\w+ ){{0,2}}(?:smoking|tobacco|obesity|diabetes|ag(?:e|ing)|exposure|reflux|hypertension"
    rf"|{_ILLS})"
    r"|(?:affects?|affecting|in) (?:\w+ )?of (?:all|any) ages?|(?:all|both) (?:races|sexes|genders)|triggered by"
    r"|causes? (?:of \w+ )?(?:is|are|remains?) (?:un)?known"
    r"|controlled diabetes|mycobacterium|helicobacter|papillomavirus|clinical(?:ly)?|impairs?|impairment"
    r"|(?:hormone|insulin) (?:production|secretion)|(?:produc\w+|secret\w+) (?:\w+ ){0,2}hormones?"
)
CLINICAL = re.compile(rf"\b(?:{_SYMPTOMS}|{_TOUCHED}|{_COURSE}|{_TREATMENT}|{_TESTS}|{_CAUSES})\b")
"""What a person feels, what a hand or a test finds, the course, the treatment, and the causes of an illness."""
