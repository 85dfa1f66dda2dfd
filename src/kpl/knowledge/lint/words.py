"""The words by which lint tells what can be seen from what cannot. English: other languages pass these rules unread.

All are for text in lower case: a pattern that looks past case takes several times as long.
"""

from __future__ import annotations

import re

__all__ = ["ASIDE", "CLINICAL", "EMPTY_TALK", "FINDINGS", "NEGATION", "NOT_NEGATION", "OPINION", "UNSEEN", "VISIBLE", "stems"]

NEGATION = re.compile(
    r"\b(no|not|none|never|neither|nor|without|lack(s|ing)?|absen(t|ce)|hardly|scarcely|devoid|missing|zero"
    r"|free (of|from)|(deprived|void|bare|stripped|emptied) of|cannot|nothing|fails?|\w+-free|\w+n't|rather than"
    r"|instead of|exclud(?:es?|ing))\b",
)
NOT_NEGATION = re.compile(
    r"\bnot (only|just|merely|to mention)\b|\bwhether or not\b|\bno(?=\. ?\d)|\b(absolute|sub|near)[- ]zero\b"
)

_ILLS = (
    r"(?:\w+ )?(?:disease|infection|injur\w+|illness|inflammation|o?edema|virus|bacteri\w+|malignan\w+|cancer|tumou?r"
    r"|trauma|mutation|\w+itis|\w{3,}osis|\w{3,}emia)"
)
_PEOPLE = r"(?:adults?|people|persons?|patients?|individuals|women|men|boys|girls|children|infants|newborns|smokers)"
_SPAN = r"(?:days?|weeks?|months?|years?|decades?)"
_NUMBER = r"(?:\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fourteen|several|many|a few)"
_SYMPTOMS = (
    r"symptom\w*|asymptomatic|complain\w*|(?:chest|back|joint|abdominal|bone|eye|breast|knee|flank|sharp|dull|severe"
    r"|mild|pelvic|local|rebound|back) (?:pain|ache|tenderness|discomfort)|pain(?:ful|less)?(?! (?:au|perdu|de))|ach(?:e|es|ing)|(?:head|stomach|tooth|ear)aches?|tenderness (?:over|on|to|in|of the)|itch(?:y|es|ing)?"
    r"|pruri\w+|burning sensation|fevers?|feverish|chills|cough(?:s|ing)?|sputum|sneez\w+|short(?:ness)? of breath"
    r"|breathless\w*|dyspn\w+|wheez\w+|fatigue|tiredness|malaise|nausea|vomit\w*|diarrh\w+|constipation|night sweats"
    r"|(?:weight|hearing|vision|visual|memory|appetite) (?:loss|gain)|loss of (?:(?:central|peripheral) )?(?:vision|sight"
    r"|appetite|weight|consciousness|function)|(?:blurred|impaired|double|central|reduced) vision|visual impairment"
    r"|blindness|photophobia|floaters|dizz\w+|seizures?|numbness|tingling|morning stiffness|stiffness"
    r"|(?:difficulty|painful|trouble) swallowing|dysphagia|heartburn|palpitations|gives way"
)
_TOUCHED = (
    r"palpa\w+|auscultat\w+|(?:on|to) percussion|compressible|to the touch|under the fingers?|(?:blanch\w*|with|under) pressure|(?:when|if) (?:pressed|pinched|palpated|touched"
    r"|scratched|squeezed)|feels? (?:hard|soft|firm|warm|rubbery|smooth|rough|like)|bleeds? (?:easily|on contact|upon"
    r" contact|when)|breath sounds|crackles"
)
_COURSE = (
    r"prognos\w*|mortality|fatal|lethal|life-?threatening|(?:poor|median|overall|long-term|five-year|\d-year) survival"
    r"|surviv(?:al|es?) (?:of|rates?|within|after|for|beyond)|life (?:expectancy|span)|lifespan|outcomes?"
    rf"|(?:within|after|over|in) (?:the (?:first|last) )?{_NUMBER} {_SPAN}|over (?:months|years|decades)|(?:stable|worse\w*|progress\w*|grows?|enlarg\w+|chang\w+|develops?) over time|(?:slow|fast|rapid)[- ]growing"
    r"|(?:grows?|develops?|progress\w*) (?:very )?(?:slowly|rapidly|quickly)|progress(?:es|ed|ing)? (?:to|into|from|over)"
    r"|progressive (?:disease|illness|disorder|condition|\w+opathy)|recur(?:s|rence|rent)?|relaps\w+|remission"
    r"|metasta(?:s\w+ to|tic potential)|malignant potential|(?:tends?|likely|able) to (?:metasta\w+|recur|spread)"
    r"|spreads? (?:to (?:the )?(?:\w+ )?(?:liver|lungs?|lymph|brain|bones?|nodes?|organs?)|early|quickly|rapidly)|irreversible|self-limit\w+|heal(?:s|ing) (?:within|in|without|by|after)"
    r"|(?:can|may|might|could|will) (?:\w+ )?(?:lead to|result in|turn|progress|become malignant|precede|resolve)"
    r"|(?:can|may|might|could) (?:\w+ )?cause (?:\w+ ){0,2}(?:vision|sight|pain|death|loss|destruction|damage|blindness"
    r"|failure|symptoms?|complications?|disability|compression|obstruction|inflammation|infection|bleeding)"
    r"|(?:benign|malignant|aggressive) (?:in nature|behaviou?r|course)|aggressive (?:growth|and|cancer|tumou?r|in)"
    r"|(?:is|are|an|and|most|very|highly) aggressive|complications? of"
)
_TREATMENT = (
    r"treatments?|(?:un)?treated (?:with|by|early|promptly|in)|left untreated|if untreated|treatable|curable"
    r"|therap(?:y|ies) (?:with|by|of|may|is|can|slows?|helps?)|(?:anti\S+|drug|laser|radiation|medical) therapy|(?:chemo|radio|immuno|photo|cryo)therapy|antibiotics?|antivirals?|antifungals?|antihistamines?|(?:cortico)?steroids?"
    r"|(?:with|by|to|after) medication|vaccin\w+|surger(?:y|ies)|surgical(?:ly)? (?:remov\w+|resect\w+|excis\w+|treat\w+|interven\w+|repair"
    r"|procedure|drain\w+|correct\w+)|(?:responds?|response) (?:(?:well|poorly|badly|best) to|to (?:\w+ )?(?:treat|therap|antib|steroid|drug|chemo|radi|medic|inject|hormon)\w*)|(?:requir\w+|needs?) (?:\w+ ){0,2}(?:removal"
    r"|resection|excision|drainage|surg\w+|treat\w+|diagnos\w+|attention|biops\w+|hospital\w*|transplant\w*|monitoring"
    r"|follow-up|further)|managed (?:with|by|conservatively)|removed by|injections? (?:of|with)|sedation"
    r"|antibiotic\w*|(?:be|is|are) referred (?:to an?|for)|referral|follow-?up|watchful waiting|hospitali[sz]\w+"
)
_TESTS = (
    r"diagnos(?:is|es|ed|e|tic)|biops(?:y|ies) (?:\w+ )?(?:confirm\w*|show\w*|reveal\w*|is|are|prove\w*|needed|required)"
    r"|(?:confirmed|proven|verified|diagnosed|established) (?:by|on|with|in|through)|(?:blood|laboratory|lab|antigen|skin"
    r"|genetic|urine|stool|function|breath) tests?|tests? positive|(?:positive|negative) (?:\w+ ){0,2}test|serum|creatinine"
    r"|h(?:a)?emoglobin level|(?:white|red) (?:blood )?cell count|pcr|tonometry|intraocular pressure|eye pressure"
    r"|blood (?:pressure|sugar)|(?:sputum|blood|urine|throat|wound) cultures?|(?:elevated|raised) (?:levels?|blood|serum)"
)
_CAUSES = (
    rf"(?:more|most|less) (?:common|often|frequent\w*) (?:in|among) |(?:in|among|affects?|affecting) (?:\w+ ){{0,2}}"
    rf"(?:older|elderly|young|younger|middle-aged|pregnant|diabetic|heavy) (?:\w+ )?{_PEOPLE}|common in {_PEOPLE}"
    rf"|{_PEOPLE} (?:over|under|above|below|aged) |(?:over|under|above) (?:the age of )?(?:forty|fifty|sixty|seventy)"
    r"|patients? (?:with|who|often|may|is|are|present\w*|report\w*|suffer\w*|aged?)|by the patient|illness(?:es)? of"
    r"|years? old|years of age|age of onset|aged \d+|(?:middle|old|advanced) age|the age of \w+|childhood|smokers?|smoking[- ]related|alcohol"
    r"|family history|(?:medical|clinical|smoking|travel) history|history of (?:\w+ )?(?:smoking|cancer|trauma|surgery|exposure|disease|infection)|hereditary|genetic\w*|inherit\w+|autosomal"
    r"|risk (?:of|for|factor)s?|at risk|(?:raises?|increases?|higher|lower) (?:the |a )?risk|predispos\w+|prevalen\w+|incidence"
    r"|contagious|infectious|transmitted|percent of|consistent with|suggestive of|sign of|caused by|aetiology|etiology"
    r"|arises? (?:after|because)|(?:results?|resulting) from (?:\w+ )?(?:exposure|lack|long-?standing|untreated|overuse)|linked (?:to|with)"
    rf"|(?:due to|suggest\w*|indicat\w+|associated with)(?: of)?(?: an?| the| various| long| chronic)? (?:\w+ ){{0,2}}(?:smoking|tobacco|"
    rf"obesity|diabetes|ag(?:e|ing)|exposure|reflux|hypertension|{_ILLS})"
    r"|controlled diabetes|mycobacterium|helicobacter|papillomavirus|clinical(?:ly)?(?! photo)"
    r"|impairs?|impairment|(?:hormone|insulin) (?:production|secretion)|(?:produc\w+|secret\w+) (?:\w+ ){0,2}hormones?"
)
CLINICAL = re.compile(rf"\b(?:{_SYMPTOMS}|{_TOUCHED}|{_COURSE}|{_TREATMENT}|{_TESTS}|{_CAUSES})\b")
"""What a person feels, what a hand or a test finds, the course, the treatment, and the causes of an illness."""

UNSEEN = re.compile(
    r"\b(native to|found (in|on|throughout|near|along|across|all over)|originat\w+|origins?|aris(es|ing) from|invented|developed"
    r"|history|historical\w*|"
    r"ancient|century|centuries|traditional\w*|popular\w*|famous|well[- ]known|known (for|as|to)|also (called|known)|"
    r"belongs? to|member of|species|breeds?|bred|family|genus|type of|kind of|form of|used|serves?|served"
    r"|purpose|designed|"
    r"intended|enjoyed|delicious|tast\w+|flavou?r\w*|smell\w*|aroma\w*|sound\w*|nutritious|healthy (?:snack|meal|food|diet|option|choice|eating|breakfast|fats?|and nutritious)|rich in"
    r"|protein|vitamin\w*|"
    r"diet|eats?|feeds?|prey|device|tool (?:used|for|that)|instrument|machine|vehicle|garment|vessel (?:used|designed)|hunt(?:s|ed)?|behaviou?r\w*|temperament|intelligen\w+|loyal\w*|friendly|playful|"
    r"price\w*|expensive|cheap|weigh\w*|kilograms?|pounds|lifespan|symbol\w*|cultur\w+|religio\w+|common(ly)?|"
    r"staple|cuisine|dish|dessert|recipe|prepared|cooked|made (by|with|from)|consists? of|refers? to|variety|varieties|"
    r"provid\w+|allow\w*|help\w*|protect\w*|involv(?:es?|ed|ing)|play(?:s|ed)? an? (?:\w+ )?role|responsible for|functions? as|hallmark|(?:can|may|often) (?:support|influence)s?|depend\w*|important|essential|typically (worn|found|seen))\b",
)

_PRAISE = (
    r"(?:distinct(?:ive(?:ly)?|ly)?|unique(?:ly)?|recogni[sz]able|characteristic|unmistakable|striking|fascinating"
    r"|interesting|impressive|beautiful|remarkable|notable|specific|certain|identifiable|unusual|memorable|typical)"
)
_MANNER = (
    r"(?:powerful|elegant|majestic|graceful|stylish|sophisticated|modern|classic|timeless|rugged|formidable|regal|noble"
    r"|intimidating|imposing|menacing|charming|cute|adorable|attractive|appealing|luxurious|professional|iconic|exotic|sleek"
    r"|rustic|appetizing|delicious|mouthwatering|inviting|refined|dignified|athletic|fierce|intelligent|friendly|gentle"
    r"|traditional|dramatic|bold|confident|agile|strong|sturdy|overall|general|unassuming)"
)
_GENERAL = r"(?:common|various|different|main|key|important|special|particular|visual|physical|aesthetic|simple)"
_LOOKS = (
    r"(?:appearances?|looks?|features?|characteristics?|traits?|shapes?|designs?|styles?|expressions?|patterns?|markings?"
    r"|colou?rs?|colou?rations?|textures?|structures?|silhouettes?|outlines?|profiles?|builds?|physiques?)"
)
_VERY = r"(?:(?:very|highly|quite|truly|easily|most|more|rather|somewhat|visually) )"
_WORTH = rf"(?:{_PRAISE}|{_MANNER}|{_GENERAL})"
OPINION = re.compile(rf"\b{_VERY}?{_WORTH}(?:(?:,? and|,|,? yet|,? but)? {_VERY}?{_WORTH})*(?:,? {_LOOKS})?\b(?! of )")
"""Praise, with the noun that it goes with: 'a sleek and powerful appearance' shows nothing."""

EMPTY_TALK = re.compile(
    rf"\b{_VERY}?{_PRAISE}\b[\w ,'-]{{0,60}}?\b(?:appearances?|looks?|features?|characteristics?|traits?|shapes?|designs?"
    r"|object|qualities|attributes|animals?|birds?|dogs?|creatures?)\b"
    rf"|\b{_MANNER}\b[\w ,'-]{{0,40}}?\b(?:appearances?|looks?|designs?|styles?|expressions?)\b"
    r"|\b(?:easily|instantly|immediately|readily) (?:be )?(?:recogni[sz]\w+|identif\w+|distinguish\w+)"
    r"|\bdescri(?:be|bed|ption)\b.{0,40}\b(?:as follows|below|following)\b"
    r"|\b(?:can|may) (?:vary|come|be found|have|be)\b.{0,30}\b(?:variet(?:y|ies)|depending|range|various"
    r"|variety|different) "
    r"|\bvar(?:y|ies) (?:widely|greatly|in|from)\b"
)

ASIDE = re.compile(
    r"\b(?:(?:is|are|was|were|be|been|being|often|commonly|typically|usually|primarily|mainly|originally|specifically"
    r"|specially|also|widely) )*(?:(?:used|designed|intended|built|made|meant|suited|suitable|ideal|perfect) (?:for|to|in|as|by)"
    r"|worn (?:by|in|for|on|during|over|as|around)|serv(?:es?|ed|ing) (?:as|to|at|for)|native to"
    r"|(?:found|seen|spotted|grown|kept|stored|located|placed|sold|eaten|consumed|enjoyed|played)"
    r" (?:in|on|at|near|along|across|throughout|by|around|during|as|all over)"
    r"|originat\w+|aris(?:es|ing) from|for comparison with|invented|developed|bred|belongs? to|member of|in order to|that (?:can|may|will)"
    r"|(?:that|which|to|can|may) (?:store|hold|project|measure|carry|transport|move|cut|keep|make|produce|play|provide"
    r"|allow|help|protect|control|display|create|clean|cook|heat|cool|perform|record|amplify|catch|hunt|eat|feed|live)s?"
    r"|(?:provid|protect)(?:es?|s|ing)|(?:allow|help)(?:s|ing)?|prey(?:s|ing)? (?:on|upon)|hunt(?:s|ing|ed)?|feed(?:s|ing)? on|eats?|lives? in"
    r"|weigh(?:s|ing)?)\b[^,;.:]*?(?=[,;.:]|$|\b(?:with|featuring|has|have|having|and (?:is|are|has|have|can be|consists?))\b)"
    r"|\b(?:type|kind|form) of \w+"
)
"""The part of a sentence that says what a thing is for, where it is from, what it does: nothing in it is seen."""

_COLOURS = """black white grey gray red orange yellow green blue purple
violet pink brown tan beige cream golden gold silver
silvery bronze copper ivory crimson scarlet maroon olive teal turquoise navy amber rust rusty reddish bluish
greenish yellowish brownish greyish grayish whitish blackish pinkish purplish pale dark darker bright vivid vibrant dull colour color coloured colored colours colors colourful colorful colouring coloring
coloration hue hues tint shade shades tone tones monochrome iridescent translucent transparent opaque shiny glossy matte metallic glowing gleaming"""
_SHAPES = """round rounded circular oval ovoid spherical sphere cylinder
cylindrical cylinder-shaped conical cone cube
cubic cuboid rectangular rectangle square triangular triangle hexagonal octagonal flat flattened curved
curving straight bent hooked pointed pointy blunt tapered tapering tapers narrow wide broad thin thick slim
slender long longer short shorter tall elongated stocky stout chunky plump chubby streamlined
lean bulky muscular heavy-bodied shape shaped shapes bell-shaped boxy arched arch domed dome spiral coiled twisted
hollow solid symmetrical asymmetrical irregular lobed lobes branched forked crescent ring ring-shaped disc
disk ball-shaped heart-shaped star-shaped pear-shaped egg-shaped upright vertical horizontal diagonal sloping
sloped steep shallow length width diameter feet 
umbrella-shaped u-shaped v-shaped y-shaped l-shaped wedge-shaped hourglass folded
rolled wrapped layered stacked sliced chopped diced shredded cubed crumbled minced mashed half
silhouette outline profile bodied physique """
_TEXTURES = """smooth rough bumpy wrinkled wrinkly fluffy furry fuzzy
hairy bristly shaggy silky woolly wooly wiry curly wavy
soft scaly spiny spiky prickly thorny ribbed ridged grooved textured texture coarse fine grainy granular
crispy crisp crunchy crusty crumbly flaky creamy moist juicy sticky gooey glazed crust golden-brown
caramelized charred seared melted runny spotted spots spot striped stripes stripe speckled mottled marbled
marble patches patch patterned pattern patterns markings marking rosette rosettes bands banded checkered plaid
dotted dots streaks streaked freckled glass metal steel iron aluminum aluminium brass wood wooden plastic
leather rubber ceramic clay stone concrete brick fabric cloth cotton wool paper cardboard straw feathers
feathered plumage fur coat mane wool quilted woven knitted mesh lace embroidered carved engraved polished
slimy wet dry icy frosty dusty cloudy hazy opacity opacities density echogenic hyperechoic hypoechoic
consolidation nodules nodule lesion lesions mass margins margin granules"""
_PARTS = """head face eyes eye ears ear snout muzzle nose mouth lips
teeth tusks fangs tongue beak bill neck throat chest
breast belly abdomen back spine shoulder shoulders leg legs limbs paw paws foot hoof hooves claw claws talons
tail tails tailed wing wings fin fins gills antenna antennae horn horns antlers crest shell shells carapace shelled
scales legged eared haired faced nosed billed winged headed necked edged sided footed skin tentacles trunk stem stems leaf leaves petals petal roots branches bark cap gills handle handles
blade blades edge edges rim lid spout base bottom side sides wheel wheels tire tires windshield windows
window door doors roof roofs hood bumper headlights engine seat seats backrest armrests cushion cushions strap
straps buckle zipper pocket pockets collar sleeves sleeve hem brim button buttons knob knobs dial dials screen
display keyboard keys cord cable wire wires lens lenses barrel hull deck mast masts sail sails bow stern
fuselage cockpit propeller wheelhouse column columns pillar pillars tower towers spire steeple arches wall
walls stairs steps railing shelves shelf drawers drawer compartment compartments panel panels slot slots hole
holes opening openings bars bar pole poles rod rods shaft tube tubes pipe pipes strings bridge neck pedals
pendulum hands numerals lettering logo label filling toppings topping topped layers layer slices slice pieces
sauce cheese noodles rice vegetables herbs broth crumbs sprinkled drizzled garnished dusted frosting icing
whipped bun tortilla plate bowl chunks strands lobe nucleus cytoplasm vessels rings ridges bumps spikes spines
quills thorns fringe tuft whiskers jaw jaws forehead cheeks brow crown nape rump underside underparts
upperparts flanks hind front rear inner outer interior exterior corner corners
tip tips"""
_FINDINGS = """ulceration ulcerations ulcer ulcers erosion erosions erythema erythematous mucosa glands nuclei collagen edema
oedema swelling enhancement calcification calcifications calcified necrosis necrotic cyst cysts cystic septa septum
cavity cavities effusion infiltrate infiltrates osteophyte osteophytes sclerosis exudates hemorrhage hemorrhages
haemorrhage haemorrhages microaneurysms drusen thickening thinning atrophy plaque plaques papule papules pigment
pigmented globules crusting telangiectasia keratin mucin lymphocytes hyperreflective hyporeflective
hyperdense hypodense heterogeneous homogeneous spiculated polyp polyps pseudopolyps osteoblastic granuloma"""
VISIBLE = frozenset(" ".join((_COLOURS, _SHAPES, _TEXTURES, _PARTS)).split())
"""Words for what a picture shows: colours, shapes, textures, and the parts of things; size alone shows nothing."""
FINDINGS = frozenset(_FINDINGS.split())
"""Words for what a medical picture shows; many of them name a class."""

_FILLERS = frozenset(
    re.findall(
        r"\w+", "a an and as at by for from in into its it is are of on one or over that the to two with which has have"
    )
)


def stems(text: str) -> frozenset[str]:
    """Return the words that carry the meaning, cut to five letters, so that 'lobe' and 'lobes' count as one.

    Example:
        >>> sorted(stems("A nucleus with two lobes"))
        ['lobe', 'nucle']
    """
    return frozenset(w[:5].rstrip("s") for w in re.findall(r"[^\W\d_]+", text.lower()) if w not in _FILLERS)
