"""The words by which lint tells what can be seen from what cannot. English: other languages pass these rules unread.

All are for text in lower case: a pattern that looks past case takes several times as long.
"""

from __future__ import annotations

import re

__all__ = ["CLINICAL", "EMPTY_TALK", "NEGATION", "NOT_NEGATION", "UNSEEN", "VISIBLE", "stems"]

NEGATION = re.compile(
    r"\b(no|not|none|never|neither|nor|without|lack(s|ing)?|absen(t|ce)|hardly|scarcely|devoid|missing"
    r"|free (of|from)|cannot|nothing|fails?|\w+-free|\w+n't|rather than|instead of|excludes?)\b",
)
NOT_NEGATION = re.compile(r"\bnot (only|just|merely|to mention)\b|\bwhether or not\b|\bno(?=\. ?\d)")

_ILLS = (
    r"(?:\w+ )?(?:disease|infection|injur\w+|illness|inflammation|o?edema|virus|bacteri\w+|malignan\w+|cancer|tumou?r)"
)
CLINICAL = re.compile(
    r"\b(symptom\w*|patients? (with|who|often|may|present\w*|report\w*|suffer\w*|aged?)|prognos\w*|mortality|fevers?"
    r"|cough(s|ing)?|diagnos(is|es|ed|tic)|life (expectancy|span)|lifespan|years? old|years of age|treated with"
    r"|treatments?"
    r"|surger(y|ies)|risk (of|factor)s?|at risk|contagious|infectious|percent of|consistent with|sign of"
    rf"|(caused by|due to|suggest\w*|indicat\w+)( of)?( an?| the| various)? {_ILLS})\b",
)

UNSEEN = re.compile(
    r"\b(native to|found (in|on|throughout|near|along|across|all over)|originat\w+|origins?|invented|developed"
    r"|history|historical\w*|"
    r"ancient|century|centuries|traditional\w*|popular\w*|famous|well[- ]known|known (for|as|to)|also (called|known)|"
    r"belongs? to|member of|species|breeds?|bred|family|genus|type of|kind of|form of|used|serves?|served"
    r"|purpose|designed|"
    r"intended|enjoyed|delicious|tast\w+|flavou?r\w*|smell\w*|aroma\w*|sound\w*|nutritious|healthy|rich in"
    r"|protein|vitamin\w*|"
    r"diet|eats?|feeds?|prey|hunt(?:s|ed)?|behaviou?r\w*|temperament|intelligen\w+|loyal\w*|friendly|playful|"
    r"price\w*|expensive|cheap|weigh\w*|kilograms?|pounds|lifespan|symbol\w*|cultur\w+|religio\w+|common(ly)?|"
    r"staple|cuisine|dish|dessert|recipe|prepared|cooked|made (by|with|from)|consists? of|refers? to|variety|varieties|"
    r"provid\w+|allow\w*|help\w*|protect\w*|invol\w+|depend\w*|important|essential|typically (worn|found|seen))\b",
)

EMPTY_TALK = re.compile(
    r"\b(?:(?:very|highly|quite|truly|easily|most) )?(?:distinct(?:ive|ly)?|unique|recogni[sz]able"
    r"|characteristic|unmistakable|"
    r"striking|fascinating|interesting|impressive|beautiful|remarkable|notable|specific|certain|identifiable)\b"
    r"[\w ,'-]{0,60}?\b(?:appearances?|looks?|features?|characteristics?|traits?|shapes?|designs?|object|qualities|"
    r"attributes|animals?|birds?|dogs?|creatures?)\b"
    r"|\b(?:easily|instantly|immediately|readily) (?:be )?(?:recogni[sz]\w+|identif\w+|distinguish\w+)"
    r"|\bdescri(?:be|bed|ption)\b.{0,40}\b(?:as follows|below|following)\b"
    r"|\b(?:can|may) (?:vary|come|be found|have|be)\b.{0,30}\b(?:variet(?:y|ies)|depending|range|various"
    r"|variety|different) ",
)

_COLOURS = """black white grey gray red orange yellow green blue purple
violet pink brown tan beige cream golden gold silver
silvery bronze copper ivory crimson scarlet maroon olive teal turquoise navy amber rust rusty reddish bluish
greenish yellowish brownish greyish grayish whitish blackish pinkish purplish pale dark darker light lighter
bright vivid vibrant dull colour color coloured colored colours colors colourful colorful colouring coloring
coloration hue hues tint shade shades tone tones monochrome iridescent translucent transparent opaque clear
shiny glossy matte metallic glowing gleaming"""
_SHAPES = """round rounded circular oval ovoid spherical sphere cylinder
cylindrical cylinder-shaped conical cone cube
cubic cuboid rectangular rectangle square triangular triangle hexagonal octagonal flat flattened curved
curving straight bent hooked pointed pointy blunt tapered tapering tapers narrow wide broad thin thick slim
slender long longer short shorter tall elongated compact stocky stout chunky plump chubby sleek streamlined
lean bulky muscular robust heavy-bodied small smaller tiny little miniature medium medium-sized large larger
big huge massive giant shape shaped shapes bell-shaped boxy arched arch domed dome spiral coiled twisted
hollow solid symmetrical asymmetrical irregular lobed lobes branched forked crescent ring ring-shaped disc
disk ball-shaped heart-shaped star-shaped pear-shaped egg-shaped upright vertical horizontal diagonal sloping
sloped steep shallow deep low high height length width diameter inches feet centimeters centimetres cm meters
metres size sized sizes umbrella-shaped u-shaped v-shaped y-shaped l-shaped wedge-shaped hourglass folded
rolled wrapped layered stacked sliced chopped diced shredded cubed crumbled minced mashed whole half
silhouette outline profile build body bodied physique frame proportions"""
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
tail tails tailed wing wings fin fins gills antenna antennae horn horns antlers crest shell shells carapace
scales skin tentacles trunk stem stems leaf leaves petals petal roots branches bark cap gills handle handles
blade blades edge edges rim lid spout base top bottom side sides wheel wheels tire tires windshield windows
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
upperparts flanks hind front rear inner outer surface interior exterior center centre middle corner corners
end ends tip tips"""
VISIBLE = frozenset(" ".join((_COLOURS, _SHAPES, _TEXTURES, _PARTS)).split())
"""Words for what a picture shows: colours, shapes, sizes, surfaces, and the parts of things."""

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
