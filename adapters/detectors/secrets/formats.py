"""How credentials are written that can be told by their form, family by family: what their issuers put before and what follows.

Sources: what the issuers document, and what gitleaks, detect-secrets and trufflehog know of prefixes, alphabets and lengths.
What `adapters.detectors.secrets.shapes` says of placeholders holds here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from adapters.detectors.secrets import shapes
from engine.scanning import Check, Rule

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_EDGE = r"(?:\b|\\[nrt])"
"""What may stand before a token: no letter, unless it is a line break that JSON or code writes out."""
_BLOB = re.compile(r"[A-Za-z0-9+/]{31,}[+/]$")
"""Base64 that goes on: what looks like a token in it is chance."""
_FEW = 10
"""Characters behind a prefix that the sieve asks for: more than words have."""


class Family(NamedTuple):
    """Formats of one issuer: the least entropy, in bits a character, and patterns of what is secret, whole."""

    entropy: float
    patterns: Sequence[str]
    sieve: str = ""
    """What is in every match, where the patterns begin with nothing of their own."""


FAMILIES: Mapping[str, Family] = {
    # Models and what serves them.
    "ANTHROPIC_KEY": Family(3.5, [r"sk-ant-[a-z]{2,8}\d{2}-[A-Za-z0-9_-]{60,120}"]),
    "OPENAI_KEY": Family(3.5, [
        r"sk-(?:proj|svcacct|admin|service|None)-[A-Za-z0-9_-]{20,200}", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b", r"sk-[A-Za-z0-9]{32,64}\b", r"sess-[A-Za-z0-9]{40}\b",
    ]),
    "OPENROUTER_KEY": Family(3.0, [r"sk-or-v1-[0-9a-f]{64}\b"]),
    "GROQ_KEY": Family(3.5, [r"gsk_[A-Za-z0-9]{40,60}\b"]),
    "XAI_KEY": Family(3.5, [r"xai-[A-Za-z0-9]{60,100}\b"]),
    "PERPLEXITY_KEY": Family(3.5, [r"pplx-[A-Za-z0-9]{40,60}\b"]),
    "REPLICATE_KEY": Family(3.0, [r"r8_[A-Za-z0-9]{37,40}\b"]),
    "HUGGING_FACE_TOKEN": Family(3.0, [r"hf_[A-Za-z0-9]{34}\b", r"api_org_[A-Za-z0-9]{34}\b"]),
    "MODEL_SERVICE_KEY": Family(3.0, [
        r"nvapi-[A-Za-z0-9_-]{60,70}", r"csk-[a-z0-9]{48}\b", r"fw_[A-Za-z0-9]{22,24}\b", r"tgp_v1_[A-Za-z0-9_-]{43}", r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{50,70}\b",
        r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}\b", rf"[sp]k-lf-{_UUID}", r"tvly-(?:dev-)?[A-Za-z0-9]{32}\b", r"jina_[A-Za-z0-9]{60}", r"fc-[a-f0-9]{32}\b",
        r"bce-v3/ALTAK-[A-Za-z0-9]{21}/[a-f0-9]{40}\b", r"[0-9a-f]{32}\.[A-Za-z0-9]{16}\b", r"sk_[a-f0-9]{48}\b", r"wandb_v1_[A-Za-z0-9_-]{40,90}", r"apify_api_[A-Za-z0-9]{36}\b",
    ]),
    # Clouds.
    "AWS_ACCESS_KEY": Family(3.0, [r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b", r"ABSK[A-Za-z0-9+/]{109,269}={0,2}"]),
    "AWS_BEDROCK_KEY": Family(3.0, [r"bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/=]{0,400}"]),
    "AWS_SESSION_TOKEN": Family(3.5, [
        r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FwoDYXdz|AgoJb3JpZ2lu|AQoDYXdz)[A-Za-z0-9+/%]{80,470}={0,2}", rf"amzn\.mws\.{_UUID}", r"amzn1\.oa2-cs\.v1\.[0-9a-f]{64}\b", r"da2-[a-z0-9]{26}\b",
    ]),
    "GOOGLE_API_KEY": Family(3.0, [r"AIza[A-Za-z0-9_-]{35}", r"GOCSPX-[A-Za-z0-9_-]{28}", r"ya29\.[A-Za-z0-9_-]{20,400}", r"1//0[A-Za-z0-9_-]{40,120}", r"AAAA[A-Za-z0-9_-]{7}:APA91[A-Za-z0-9_-]{120,140}"]),
    "AZURE_KEY": Family(3.5, [
        r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}\b", r"[A-Za-z0-9+/]{76}(?:\+ASt|ACDb)[A-Za-z0-9+/]{5,6}={1,2}", r"[A-Za-z0-9+/]{33}\+(?:ASb|AEh|ARm)[A-Za-z0-9+/]{5,7}=",
        r"[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}\b", r"[A-Za-z0-9_-]{44}AzFu[A-Za-z0-9_-]{5}[AQgw]==", r"[A-Za-z0-9+/]{42}\+ACR[A-D][A-Za-z0-9+/]{5}",
    ], r"JQQJ99|\+ASt|ACDb|\+(?:ASb|AEh|ARm|ACR)|Az(?:Se|Fu)"),
    "ALIBABA_KEY": Family(3.0, [r"LTAI[A-Za-z0-9]{12,24}\b"]),
    "TENCENT_KEY": Family(3.0, [r"AKID[A-Za-z0-9]{32}\b"]),
    "VOLCENGINE_KEY": Family(3.0, [r"AKLT[A-Za-z0-9]{32,60}\b"]),
    "YANDEX_KEY": Family(3.5, [r"AQVN[A-Za-z0-9_-]{35,38}", r"t1\.[A-Z0-9a-z_-]{6,400}={0,2}\.[A-Z0-9a-z_-]{86}={0,2}", r"YC[A-Za-z0-9_-]{38}\b"]),
    "DIGITALOCEAN_TOKEN": Family(3.0, [r"do[oprt]_v1_[a-f0-9]{64}\b"]),
    "CLOUDFLARE_KEY": Family(3.0, [r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b", r"cf[aku]t_[A-Za-z0-9_-]{40,60}"]),
    "FLY_TOKEN": Family(3.5, [r"fo1_[A-Za-z0-9_-]{43}", r"fm[12][ar]?_[A-Za-z0-9+/]{100,450}={0,3}"]),
    "HEROKU_KEY": Family(3.5, [rf"HRKU-(?:AA[A-Za-z0-9_-]{{58}}|{_UUID})"]),
    "HOSTING_TOKEN": Family(3.0, [r"vercel_[A-Za-z0-9]{24,60}\b", r"vc[apikr]_[A-Za-z0-9]{56}\b", r"rnd_[A-Za-z0-9]{28,32}\b", r"tk-us-[A-Za-z0-9_-]{48}", r"SCW[A-Z0-9]{17}\b"]),
    "NETLIFY_TOKEN": Family(3.0, [r"nf[poc]_[A-Za-z0-9]{36,40}\b"]),
    "SUPABASE_TOKEN": Family(3.0, [r"sbp_[a-f0-9]{40}\b", r"sb_secret_[A-Za-z0-9_-]{20,60}"]),
    "TAILSCALE_KEY": Family(3.0, [r"tskey-(?:api|auth|client|scim|webhook|oauth)-[A-Za-z0-9]{8,24}-[A-Za-z0-9]{20,60}\b", r"[12][A-Za-z0-9]{26}_[A-Za-z0-9]{21}\b"]),
    # Code, its registries and its delivery.
    "GITHUB_TOKEN": Family(3.0, [r"gh[pousr]_[A-Za-z0-9]{36,255}\b", r"github_pat_[A-Za-z0-9_]{82}\b"]),
    "GITLAB_TOKEN": Family(3.0, [
        r"gl(?:pat|oas|dt|cbt|ptt|ft|imt|agent|soat|ffct|rt|rtr|wt)-(?:[0-9a-zA-Z_]{1,5}_)?[0-9a-zA-Z_-]{20,300}(?:\.[0-9a-z]{2}\.?[0-9a-z]{7,9})?", r"GR1348941[A-Za-z0-9_-]{20}\b", r"_gitlab_session=[0-9a-z]{32}\b",
    ]),
    "ATLASSIAN_TOKEN": Family(3.5, [r"AT[ACS]TT3[A-Za-z0-9_=-]{140,220}", r"ATBB[A-Za-z0-9]{32}\b", r"BBDC-[A-Za-z0-9+/@_-]{40,50}"]),
    "NPM_TOKEN": Family(3.0, [r"npm_[A-Za-z0-9]{36}\b"]),
    "PYPI_TOKEN": Family(3.0, [r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZ)[A-Za-z0-9_-]{50,400}"]),
    "PACKAGE_TOKEN": Family(3.0, [r"rubygems_[a-f0-9]{48}\b", r"oy2[a-z0-9]{43}\b", r"cio[A-Za-z0-9]{32}\b", r"(?i:CLOJARS_)[A-Za-z0-9]{60}\b", r"packagist_(?:[a-z]{2,4}_)?[a-f0-9]{60,80}\b"]),
    "DOCKER_TOKEN": Family(3.0, [r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}"]),
    "ARTIFACTORY_TOKEN": Family(3.5, [r"AKCp[A-Za-z0-9]{69}\b", r"cmVmd[A-Za-z0-9]{59}\b"]),
    "SONAR_TOKEN": Family(3.0, [r"sq[pua]_[a-z0-9]{40}\b"]),
    "SOURCEGRAPH_TOKEN": Family(3.0, [r"sgp_(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}\b"]),
    "BUILD_TOKEN": Family(3.0, [
        r"CCIP(?:AT|RJ)_[A-Za-z0-9]{22}_[a-f0-9]{40}\b", r"bk[u]a_[a-f0-9]{40}\b", r"API-[A-Z0-9]{26}\b", r"(?:pat|sat)\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}\b", r"sha256~[A-Za-z0-9_-]{43}",
        r"token-[a-z0-9]{5}:[a-z0-9]{54}\b", r"ico-[A-Za-z0-9]{32}\b", r"pnu_[A-Za-z0-9]{36}\b", r"p8e-[a-zA-Z0-9]{32}\b", r"dbt[cu]_[A-Za-z0-9_-]{40,70}",
    ]),
    # Secrets of secrets.
    "VAULT_TOKEN": Family(3.0, [r"hv[sbr]\.[A-Za-z0-9_-]{90,300}"]),
    "TERRAFORM_TOKEN": Family(3.0, [r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"], r"\.atlasv1\."),
    "PULUMI_TOKEN": Family(2.5, [r"pul-[a-f0-9]{40}\b"]),
    "DOPPLER_TOKEN": Family(3.0, [r"dp\.(?:pt|st|ct|sa|scim|audit|said)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}\b", r"st\.[a-f0-9]{8}[a-f0-9-]{10,30}\.[a-f0-9]{32}\.[a-f0-9]{32}\b"]),
    "ONEPASSWORD_TOKEN": Family(3.5, [r"ops_eyJ[A-Za-z0-9+/_-]{250,900}={0,3}", r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}\b"]),
    "AGE_SECRET_KEY": Family(3.0, [r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}\b"]),
    # Data.
    "DATABRICKS_TOKEN": Family(3.0, [r"dapi[a-f0-9]{32}(?:-\d)?\b", r"dose[a-f0-9]{32}\b"]),
    "PLANETSCALE_TOKEN": Family(3.0, [r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{32,64}"]),
    "DATABASE_TOKEN": Family(3.0, [r"mdb_sa_sk_[A-Za-z0-9_-]{36,50}", r"AVNS_[A-Za-z0-9_-]{19}", r"cflt[A-Za-z0-9+/]{60}", r"napi_[a-z0-9]{64}\b", r"essu_[A-Za-z0-9+/]{40,120}={0,2}", r"4b1d[A-Za-z0-9]{38}\b"]),
    "AIRTABLE_TOKEN": Family(3.0, [r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"]),
    # Messages and mail.
    "SLACK_TOKEN": Family(2.5, [
        r"xox[a-eoprs]-(?:\d{8,14}-){1,3}[A-Za-z0-9-]{10,80}", r"xox[a-eoprs](?:\.xox[bp])?-(?:\d-)?[A-Za-z0-9]{20,250}", r"xox[ar]-(?:\d-)?[A-Za-z0-9]{8,48}\b", r"(?i:xapp)-\d-[A-Za-z0-9]{8,16}-\d{10,16}-[A-Za-z0-9]{40,80}",
    ]),
    "DISCORD_TOKEN": Family(3.5, [r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}"]),
    "TELEGRAM_TOKEN": Family(3.0, [r"(?:bot)?\d{5,16}:A[A-Za-z0-9_-]{33,34}\b"]),
    "TWILIO_KEY": Family(3.0, [r"(?:AC|SK)[0-9a-f]{32}\b"]),
    "SENDGRID_KEY": Family(3.0, [r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"]),
    "MAILGUN_KEY": Family(3.0, [r"(?:key|pubkey)-[0-9a-f]{32}\b", r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b"]),
    "MAILCHIMP_KEY": Family(3.0, [r"[0-9a-f]{32}-us\d{1,2}\b"]),
    "BREVO_KEY": Family(3.0, [r"x(?:key|smtp)sib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"]),
    "MAIL_KEY": Family(3.0, [r"re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{22,26}\b", r"md-[A-Za-z0-9_-]{22}\b", r"os_v2_(?:app|org)_[a-z2-7]{90,120}\b", r"pk_[a-f0-9]{34}\b", r"dG9rO[A-Za-z0-9+/]{54,60}={0,2}"]),
    # Money and trade.
    "STRIPE_KEY": Family(3.0, [r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,247}\b", r"whsec_[A-Za-z0-9+/=]{32,64}"]),
    "SQUARE_TOKEN": Family(3.0, [r"(?:EAAA|sq0[a-z]{3}-)[A-Za-z0-9_-]{22,60}\b"]),
    "PAYMENT_KEY": Family(3.0, [
        r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}\b", r"rzp_(?:live|test)_[A-Za-z0-9]{14}\b", rf"access-(?:sandbox|development|production)-{_UUID}", r"shippo_(?:live|test)_[a-fA-F0-9]{40}\b",
        r"EZ[AT]K[A-Za-z0-9]{54}\b", r"duffel_(?:test|live)_[A-Za-z0-9_=-]{43}", r"FLW(?:PUB|SEC)K(?:_TEST)?-[A-Za-z0-9]{32}-X\b", r"FLWSECK_TEST-?[A-Za-z0-9]{12}\b", r"(?:live|test)_(?:pub_)?[a-f0-9]{31,35}\b",
    ]),
    "SHOPIFY_TOKEN": Family(2.5, [r"shp(?:at|ca|pa|ss|tka|ua)_[A-Fa-f0-9]{32}\b", r"c[ks]_[a-f0-9]{40}\b"]),
    # Faces and places.
    "FACEBOOK_TOKEN": Family(3.0, [r"EAA[A-Z][A-Za-z0-9]{80,400}", r"IGQ[VW][A-Za-z0-9_-]{80,400}", r"\d{15,16}(?:\||%7[cC]|%)[A-Za-z0-9_-]{27,40}"]),
    "TWITTER_TOKEN": Family(3.0, [r"A{21,22}[A-Za-z0-9%]{80,100}"]),
    "SALESFORCE_TOKEN": Family(3.5, [r"00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,120}"]),
    "MAPBOX_TOKEN": Family(3.5, [r"[spt]k\.(?:eyJ1I[A-Za-z0-9_-]{40,200}|[A-Za-z0-9]{60})\.[A-Za-z0-9_-]{20,40}"]),
    "MAXMIND_KEY": Family(3.0, [r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b"], r"_mmk\b"),
    # Work.
    "LINEAR_KEY": Family(2.5, [r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}\b"]),
    "NOTION_KEY": Family(3.5, [r"ntn_\d{11}[A-Za-z0-9]{35}\b", r"secret_[A-Za-z0-9]{43}\b"]),
    "FIGMA_TOKEN": Family(3.0, [r"fig[dopruh]{1,2}_[A-Za-z0-9_-]{40,60}"]),
    "POSTMAN_KEY": Family(3.0, [r"PMAK-[a-fA-F0-9]{24}-[a-fA-F0-9]{34}\b", r"PMAT-[A-Z0-9]{26}\b"]),
    "WORK_TOKEN": Family(3.0, [
        r"pk_\d{6,9}_[A-Z0-9]{32}\b", r"[0-2]/\d{16}(?:/\d{16})?:[a-f0-9]{32}\b", rf"pat-(?:na|eu|ap)\d-{_UUID}", r"CFPAT-[A-Za-z0-9_-]{43}", r"tfp_[A-Za-z0-9_.=-]{40,70}", r"rdme_[a-z0-9]{70}\b", r"fio-u-[A-Za-z0-9_=-]{64}",
        r"sl\.(?:u\.)?[A-Za-z0-9_=-]{130,450}", r"[A-Za-z0-9]{11}A{10}[A-Za-z0-9_=-]{43}", r"sm_(?:aat|pat|sat)_[A-Za-z0-9]{16}\b", rf"(?:sdk|api|mob)-{_UUID}", r"dnkey-[A-Za-z0-9_=-]{26}-[A-Za-z0-9_=-]{52}",
        r"(?:sc|ext|scauth|authress)_[A-Za-z0-9]{5,30}\.[A-Za-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}",
    ]),
    "INTRA42_SECRET": Family(3.0, [r"s-s4t2(?:ud|af)-[a-f0-9]{64}\b"]),
    # What watches.
    "GRAFANA_TOKEN": Family(3.0, [r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}\b", r"glc_[A-Za-z0-9+/]{32,400}={0,2}", r"eyJrIjoi[A-Za-z0-9]{70,400}={0,3}"]),
    "NEWRELIC_KEY": Family(2.5, [r"NRAK-[A-Za-z0-9]{27}\b", r"NR(?:II|IQ)-[A-Za-z0-9_-]{32}", r"NRJS-[a-f0-9]{19}\b", r"NRRA-[a-f0-9]{42}\b", r"(?:eu01xx|[a-f0-9]{6})?[a-f0-9]{30,36}NRAL\b"]),
    "DYNATRACE_TOKEN": Family(3.5, [r"dt0[a-z]\d{2}\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}\b"]),
    "SENTRY_TOKEN": Family(3.0, [r"sntrys_eyJ[A-Za-z0-9+/=_]{80,400}", r"sntryu_[a-f0-9]{64}\b"]),
    "HONEYCOMB_KEY": Family(3.0, [r"hc[abx][ilm][kc]_[a-z0-9]{58}\b"]),
}  # fmt: skip
"""What is told by its form."""
_ANYWHERE: Mapping[str, Family] = {
    "AZURE_KEY": Family(3.5, [r"(?i:AccountKey|SharedAccessKey|SharedAccessSignature)=[A-Za-z0-9+/]{42,86}={1,2}", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", r"[?&;]sig=[A-Za-z0-9%/+]{40,64}(?:%3[dD]|=)"]),
    "NPM_TOKEN": Family(3.0, [r"//[a-z0-9.:-]{3,100}/(?:[\w.-]{1,40}/){0,5}:_(?:authToken|auth|password)\s{0,2}=\s{0,2}[\"']?[A-Za-z0-9+/=_-]{16,120}"]),
    "WEBHOOK": Family(3.0, [
        r"(?:https://)?hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,80}", r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_-]{60,80}",
        r"[a-z0-9-]{1,60}\.webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{80,260}", r"outlook\.office(?:365)?\.com/webhook/[A-Za-z0-9@/-]{80,260}", r"hooks\.zapier\.com/hooks/catch/\d{5,12}/[a-z0-9]{5,12}",
        r"maker\.ifttt\.com/trigger/[\w-]{1,60}/(?:json/)?with/key/[A-Za-z0-9_-]{20,50}", rf"open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/{_UUID}",
        r"oapi\.dingtalk\.com/robot/send\?access_token=[a-f0-9]{64}", rf"qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key={_UUID}",
    ]),
    "SIDEKIQ_CREDENTIAL": Family(0.0, [r"(?i)BUNDLE_(?:ENTERPRISE|GEMS)__CONTRIBSYS__COM[\s=:\"']{1,6}[a-f0-9]{8}:[a-f0-9]{8}"]),
}  # fmt: skip
"""What is told by its form, whatever stands before."""


def families() -> Iterator[Rule]:
    """Yield a rule of each family."""
    for name, family in FAMILIES.items():
        pattern = rf"{_EDGE}({'|'.join(family.patterns)})"
        sieve = family.sieve or rf"{_EDGE}(?:{'|'.join(map(_sieve, family.patterns))})"
        yield Rule(name, pattern, _chance(family.entropy), group=1, sieve=sieve)
    for name, family in _ANYWHERE.items():
        yield Rule(name, "|".join(family.patterns), _chance(family.entropy))
    yield Rule(
        "VAULT_TOKEN",
        r"\bs\.[A-Za-z0-9]{24}\b",
        lambda found, _: float(shapes.mixed(found[2:]) and not shapes.worded(found)),
    )
    yield Rule("PAYMENT_KEY", r"\b(?:live|test|sandbox|production)_[A-Za-z0-9_-]{30,50}\b", _drawn)
    yield Rule("INTERLOCK_KEY", r"\bsk-[A-Za-z0-9_-]{20,64}", _drawn)
    yield Rule(
        "ARTIFACTORY_TOKEN", r"(?:^|[\s=:\"'])((?:AKC|AP[0-9A-F])[A-Za-z0-9]{8,200})\b", _artifactory, group=1,
    )  # fmt: skip


def _chance(least: float) -> Check:
    return lambda found, before: 0.0 if shapes.entropy(found) < least or _BLOB.search(before) else 1.0


def _drawn(found: str, _: str) -> float:
    """Tell what was drawn from what was named: `test_of_what_happens_behind` is a name."""
    drawn = any(map(str.isupper, found)) and any(map(str.islower, found[3:])) and any(map(str.isdigit, found))
    return 1.0 if drawn and not shapes.worded(found) else 0.0


def _artifactory(found: str, before: str) -> float:
    told = re.search(r"(?i)artif|jfrog|art-api|buildkit|_password", before) is not None
    return 1.0 if told or (shapes.mixed(found) and shapes.kinds(found) >= 3) else 0.0


def _sieve(pattern: str) -> str:
    """Return the beginning of a pattern up to its first counted class, with few of it: what every match contains."""
    depth = 0
    for at, one in enumerate(pattern):
        depth += {"(": 1, ")": -1}.get(one, 0)
        counted = re.match(r"\]\{(\d+)", pattern[at:])
        if counted and depth == 0 and pattern.rfind("[", 0, at) > 0:
            return pattern[: at + 1] + f"{{{min(_FEW, int(counted[1]))}}}"
    return pattern
