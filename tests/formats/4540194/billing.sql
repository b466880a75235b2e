--
-- PostgreSQL database dump
--

\restrict PR2ndVrf3cViMVu6aiQd9l5NUjmfjBcsjM4RkENlMHwATbCBeK1kTYXYyDdM01o

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: accounts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.accounts (
    account text NOT NULL,
    partition bigint NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    decimals bigint NOT NULL,
    minor_digits bigint NOT NULL,
    mode bigint NOT NULL,
    status bigint NOT NULL,
    non_usage_billing bigint NOT NULL,
    permanent_limit bigint NOT NULL,
    temporary_limit bigint NOT NULL,
    temporary_until bigint NOT NULL,
    balance bigint NOT NULL,
    unbilled bigint NOT NULL,
    reserved bigint NOT NULL,
    account_sequence bigint NOT NULL,
    bill bigint NOT NULL,
    last_bill bigint NOT NULL,
    low_credit_threshold bigint NOT NULL,
    created_at bigint NOT NULL,
    last_sequence bigint NOT NULL
);


--
-- Name: allocations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.allocations (
    account text NOT NULL,
    sequence bigint NOT NULL,
    credit bigint NOT NULL,
    document bigint NOT NULL,
    "time" bigint NOT NULL,
    amount bigint NOT NULL
);


--
-- Name: bill_ends; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.bill_ends (
    account text NOT NULL,
    balance bigint NOT NULL,
    converted_bill bigint NOT NULL,
    single_charged bigint NOT NULL,
    single_rounded bigint NOT NULL
);


--
-- Name: credits; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.credits (
    account text NOT NULL,
    sequence bigint NOT NULL,
    request_id text NOT NULL,
    "time" bigint NOT NULL,
    amount bigint NOT NULL,
    allocated bigint NOT NULL,
    reversed bigint NOT NULL
);


--
-- Name: customers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.customers (
    account text NOT NULL,
    name text NOT NULL,
    address text NOT NULL,
    tax_id text NOT NULL,
    email text NOT NULL
);


--
-- Name: documents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.documents (
    id bigint NOT NULL,
    account text NOT NULL,
    bill bigint NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    cut_at bigint NOT NULL,
    held_reason text NOT NULL,
    total bigint NOT NULL,
    amount_to_pay bigint NOT NULL,
    refers_to bigint NOT NULL,
    content text NOT NULL
);


--
-- Name: drafts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.drafts (
    kind text NOT NULL,
    cut_at bigint NOT NULL,
    document bigint NOT NULL
);


--
-- Name: entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.entries (
    partition bigint NOT NULL,
    sequence bigint NOT NULL,
    account text NOT NULL,
    account_sequence bigint NOT NULL,
    previous bigint NOT NULL,
    kind bigint NOT NULL,
    "time" bigint NOT NULL,
    mode bigint NOT NULL,
    bill bigint NOT NULL,
    amount bigint NOT NULL,
    balance bigint NOT NULL,
    unbilled bigint NOT NULL,
    reserved bigint NOT NULL,
    detail_1 bigint NOT NULL,
    detail_2 bigint NOT NULL,
    category bigint NOT NULL,
    item text NOT NULL,
    description text NOT NULL,
    quantity text NOT NULL,
    unit text NOT NULL,
    occurred_at bigint,
    attributes text NOT NULL,
    request_id text NOT NULL,
    request_key bigint NOT NULL,
    fingerprint bigint NOT NULL,
    refers_to text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    invoices text NOT NULL,
    settings text NOT NULL
);


--
-- Name: issued; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.issued (
    document bigint NOT NULL,
    number text NOT NULL,
    issued_at bigint NOT NULL,
    due_at bigint NOT NULL,
    tax_contained bigint NOT NULL,
    tax_on_deducted bigint NOT NULL,
    frozen text NOT NULL
);


--
-- Name: lost_entries; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lost_entries (
    reconciliation bigint NOT NULL,
    partition bigint NOT NULL,
    sequence bigint NOT NULL,
    account text NOT NULL,
    account_sequence bigint NOT NULL,
    previous bigint NOT NULL,
    kind bigint NOT NULL,
    "time" bigint NOT NULL,
    mode bigint NOT NULL,
    bill bigint NOT NULL,
    amount bigint NOT NULL,
    balance bigint NOT NULL,
    unbilled bigint NOT NULL,
    reserved bigint NOT NULL,
    detail_1 bigint NOT NULL,
    detail_2 bigint NOT NULL,
    category bigint NOT NULL,
    item text NOT NULL,
    description text NOT NULL,
    quantity text NOT NULL,
    unit text NOT NULL,
    occurred_at bigint,
    attributes text NOT NULL,
    request_id text NOT NULL,
    fingerprint bigint NOT NULL,
    refers_to text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    invoices text NOT NULL,
    settings text NOT NULL,
    outcome text NOT NULL
);


--
-- Name: migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.migrations (
    version bigint NOT NULL
);


--
-- Name: partitions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.partitions (
    partition bigint NOT NULL,
    fence bigint NOT NULL,
    next_sequence bigint NOT NULL,
    last_block text NOT NULL,
    last_time bigint NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    stopped_at bigint NOT NULL,
    owner text NOT NULL,
    lease_until bigint NOT NULL,
    closed_until bigint NOT NULL
);


--
-- Name: payables; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.payables (
    document bigint NOT NULL,
    account text NOT NULL,
    cut_at bigint NOT NULL,
    total bigint NOT NULL,
    open_amount bigint NOT NULL
);


--
-- Name: reconciliations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reconciliations (
    id bigint NOT NULL,
    partition bigint NOT NULL,
    at bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    stopped_because text NOT NULL,
    action text NOT NULL,
    common_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL
);


--
-- Name: refunds; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refunds (
    account text NOT NULL,
    bill bigint NOT NULL,
    sequence bigint NOT NULL,
    kind bigint NOT NULL,
    charge_kind bigint NOT NULL,
    category bigint NOT NULL,
    item text NOT NULL,
    unit text NOT NULL,
    quantity text NOT NULL,
    description text NOT NULL,
    amount bigint NOT NULL,
    "time" bigint NOT NULL
);


--
-- Name: series; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.series (
    prefix text NOT NULL,
    last_place bigint NOT NULL
);


--
-- Name: totals; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.totals (
    account text NOT NULL,
    bill bigint NOT NULL,
    kind bigint NOT NULL,
    category bigint NOT NULL,
    item text NOT NULL,
    unit text NOT NULL,
    amount bigint NOT NULL,
    quantity text NOT NULL,
    count bigint NOT NULL,
    first_at bigint NOT NULL,
    last_at bigint NOT NULL
);


--
-- Name: workers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workers (
    owner text NOT NULL,
    alive_until bigint NOT NULL
);


--
-- Data for Name: accounts; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.accounts (account, partition, name, currency, decimals, minor_digits, mode, status, non_usage_billing, permanent_limit, temporary_limit, temporary_until, balance, unbilled, reserved, account_sequence, bill, last_bill, low_credit_threshold, created_at, last_sequence) FROM stdin;
one-by-one	0	Customer one-by-one	EUR	6	2	2	1	2	500000000	0	0	-20000000	0	0	2	1	2	-1	1791626400000	6
suspended	0	Customer suspended	EUR	6	2	1	2	1	10000000	0	0	0	0	0	0	1	1	-1	1791626400000	8
closed	2	Customer closed	EUR	6	2	1	3	1	0	0	0	0	0	0	0	1	1	-1	1791626400000	7
converted	1	Customer converted	EUR	6	2	2	1	1	1000000000	0	0	-113898520	0	0	4	2	2	-1	1791626400000	7
yen	2	Customer yen	JPY	4	0	2	1	1	100000000	0	0	-12350000	995000	0	4	2	2	-1	1791626400000	15
postpaid	2	Customer postpaid	EUR	6	2	2	1	1	1000000000	0	0	-21668000	7777700	20000000	7	2	2	-1	1791626400000	16
temporary	3	Customer temporary	EUR	6	2	1	1	1	5000000	30000000	1796946600000	0	0	0	0	1	1	-1	1796082600000	2
prepaid	0	Customer prepaid	EUR	6	2	1	1	1	0	0	0	100851480	0	20000000	7	2	2	-1	1791626400000	15
\.


--
-- Data for Name: allocations; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.allocations (account, sequence, credit, document, "time", amount) FROM stdin;
converted	4	1	458753	1793491200000	86101480
postpaid	5	5	655362	1794474000000	50000000
postpaid	6	6	655362	1794474000000	5002000
\.


--
-- Data for Name: bill_ends; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.bill_ends (account, balance, converted_bill, single_charged, single_rounded) FROM stdin;
one-by-one	0	0	-19995000	-5000
prepaid	86101480	0	0	0
converted	-113898520	0	0	0
postpaid	-76670000	0	0	0
yen	-12350000	0	0	0
\.


--
-- Data for Name: credits; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.credits (account, sequence, request_id, "time", amount, allocated, reversed) FROM stdin;
prepaid	1	payment-1	1791626400000	100000000	0	0
converted	1	payment-1	1791626400000	100000000	86101480	0
postpaid	5	bank-1	1794474000000	50000000	50000000	0
prepaid	4	refund-1	1794474000000	3500000	0	0
postpaid	6	refund-1	1794474000000	5002000	5002000	0
prepaid	6	recent-top-up	1796083080000	25000000	0	0
\.


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.customers (account, name, address, tax_id, email) FROM stdin;
\.


--
-- Data for Name: documents; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.documents (id, account, bill, kind, cause, cut_at, held_reason, total, amount_to_pay, refers_to, content) FROM stdin;
327680	one-by-one	2	invoice	single_charge	1791626400000		20000000	20000000	0	{"kind":"invoice","number":"","cause":"single_charge","account":"one-by-one","bill":2,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":1791626400000,"period_to":1791626400000,"issued_at":0,"due_at":null,"items":[{"category":"hardware","item":"voice","description":"call-de","quantity":"60","unit":"second","count":1,"amount":19995000,"first_use":1791626400000,"last_use":1791626400000}],"deducted":[],"wallet":null,"items_total":19995000,"rounding":5000,"brought_forward":0,"total":20000000,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":0,"amount_to_pay":20000000,"refers_to":"","reason":""}
589824	prepaid	1	statement	period_end	1793491200000		0	0	0	{"kind":"statement","number":"","cause":"period_end","account":"prepaid","bill":1,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":1791626400000,"period_to":1793491200000,"issued_at":0,"due_at":null,"items":[],"deducted":[{"category":"usage","item":"voice","description":"","quantity":"60","unit":"second","count":1,"amount":13898520,"first_use":1791626400000,"last_use":1791626400000}],"wallet":{"opening":0,"paid_in":100000000,"reversed":0,"charged":-13898520,"refunded":0,"withdrawn":0,"adjusted":0,"invoiced":0,"rounded":0,"closing":86101480},"items_total":0,"rounding":0,"brought_forward":0,"total":0,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":0,"amount_to_pay":0,"refers_to":"","reason":""}
458753	converted	1	invoice	period_end	1793491200000		200000000	113898520	0	{"kind":"invoice","number":"","cause":"period_end","account":"converted","bill":1,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":1791626400000,"period_to":1793491200000,"issued_at":0,"due_at":null,"items":[{"category":"usage","item":"voice","description":"","quantity":"60","unit":"second","count":1,"amount":200000000,"first_use":1791626400000,"last_use":1791626400000}],"deducted":[{"category":"usage","item":"voice","description":"","quantity":"60","unit":"second","count":1,"amount":13898520,"first_use":1791626400000,"last_use":1791626400000}],"wallet":{"opening":0,"paid_in":100000000,"reversed":0,"charged":-13898520,"refunded":0,"withdrawn":0,"adjusted":0,"invoiced":0,"rounded":0,"closing":86101480},"items_total":200000000,"rounding":0,"brought_forward":0,"total":200000000,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":86101480,"amount_to_pay":113898520,"refers_to":"","reason":""}
524290	yen	1	invoice	period_end	1793491200000		12350000	12350000	0	{"kind":"invoice","number":"","cause":"period_end","account":"yen","bill":1,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"JPY","decimals":4,"minor_digits":0,"time_zone":"","period_from":1791626400000,"period_to":1793491200000,"issued_at":0,"due_at":null,"items":[{"category":"usage","item":"voice","description":"","quantity":"60","unit":"second","count":1,"amount":12345000,"first_use":1791626400000,"last_use":1791626400000}],"deducted":[],"wallet":null,"items_total":12345000,"rounding":5000,"brought_forward":0,"total":12350000,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":0,"amount_to_pay":12350000,"refers_to":"","reason":""}
655362	postpaid	1	invoice	period_end	1793491200000		76670000	76670000	0	{"kind":"invoice","number":"","cause":"period_end","account":"postpaid","bill":1,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":1791626400000,"period_to":1793491200000,"issued_at":0,"due_at":null,"items":[{"category":"usage","item":"voice","description":"","quantity":"120","unit":"second","count":2,"amount":76670667,"first_use":1791626400000,"last_use":1791626400000}],"deducted":[],"wallet":null,"items_total":76670667,"rounding":-667,"brought_forward":0,"total":76670000,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":0,"amount_to_pay":76670000,"refers_to":"","reason":""}
851970	postpaid	1	credit_note	refund	1794474000000		5002000	0	655362	{"kind":"credit_note","number":"","cause":"refund","account":"postpaid","bill":1,"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"","address":[],"tax_id":"","email":""},"currency":"EUR","decimals":6,"minor_digits":2,"time_zone":"","period_from":1791626400000,"period_to":1794474000000,"issued_at":0,"due_at":null,"items":[{"category":"usage","item":"voice","description":"call-de","quantity":"","unit":"second","count":1,"amount":5002000,"first_use":1794474000000,"last_use":1794474000000}],"deducted":[],"wallet":null,"items_total":5002000,"rounding":0,"brought_forward":0,"total":5002000,"tax_rate":"","tax_contained":0,"tax_on_deducted":0,"credit_applied":0,"amount_to_pay":0,"refers_to":"","reason":"kept store"}
\.


--
-- Data for Name: drafts; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.drafts (kind, cut_at, document) FROM stdin;
\.


--
-- Data for Name: entries; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.entries (partition, sequence, account, account_sequence, previous, kind, "time", mode, bill, amount, balance, unbilled, reserved, detail_1, detail_2, category, item, description, quantity, unit, occurred_at, attributes, request_id, request_key, fingerprint, refers_to, actor, reason, invoices, settings) FROM stdin;
0	1	prepaid	0	0	1	1791626400000	1	1	0	0	0	0	0	0	0					\N		create	-8312340311085814782	-8702446713022644949					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer prepaid","non_usage_billing":1}
0	2	prepaid	1	1	8	1791626400000	1	1	100000000	100000000	0	0	0	0	0					\N		payment-1	-5889391971467530570	4803177925553007922		ann	kept store		
0	3	prepaid	2	2	3	1791626400000	1	1	13898520	86101480	0	0	0	0	1	voice	call-de	60	second	\N		call-1	6366008394494910234	-585813605434093282					
0	4	one-by-one	0	0	1	1791626400000	2	1	500000000	0	0	0	0	0	0					\N		create	6188861498514826818	-8541629588123059705					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer one-by-one","non_usage_billing":2}
0	5	one-by-one	1	4	5	1791626400000	2	2	19995000	-19995000	0	0	0	0	3	voice	call-de	60	second	\N		phone	8623736913880764840	-8290719989331319781					
0	6	one-by-one	2	5	16	1791626400000	2	2	-5000	-20000000	0	0	0	0	3	voice	call-de	60	second	\N		phone	8623736913880764840	-8290719989331319781					
0	7	suspended	0	0	1	1791626400000	1	1	10000000	0	0	0	0	0	0					\N		create	-3596532026054802672	4492510059422601194					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer suspended","non_usage_billing":1}
0	8	suspended	0	7	17	1791626400000	1	1	0	0	0	0	0	0	0					\N		suspend	-7212133278717696794	5053034793205267557		ann	kept store		
2	1	postpaid	0	0	1	1791626400000	2	1	1000000000	0	0	0	0	0	0					\N		create	8618042824390563053	-6034194634512911007					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer postpaid","non_usage_billing":1}
2	2	postpaid	1	1	4	1791626400000	2	1	10004000	0	10004000	0	0	0	1	voice	call-de	60	second	\N		call-1	-5816469048340891629	-2423668688999046978					
2	3	postpaid	2	2	4	1791626400000	2	1	66666667	0	76670667	0	0	0	1	voice	call-de	60	second	\N		call-2	7777030134465355603	1594747157958594139					
2	4	yen	0	0	1	1791626400000	2	1	100000000	0	0	0	0	0	0					\N		create	-1076260906856793229	-6025197598458311693					{"currency":"JPY","decimals":4,"low_credit_threshold":null,"minor_digits":0,"name":"Customer yen","non_usage_billing":1}
2	5	yen	1	4	4	1791626400000	2	1	12345000	0	12345000	0	0	0	1	voice	call-de	60	second	\N		call-1	-5873187181719575852	-8194489413618775318					
2	6	closed	0	0	1	1791626400000	1	1	0	0	0	0	0	0	0					\N		create	2453810723069354072	3725911194402495782					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer closed","non_usage_billing":1}
2	7	closed	0	6	19	1791626400000	1	1	0	0	0	0	0	0	0					\N		close	2861245298120574013	4609169309416721346		ann	kept store		
1	1	converted	0	0	1	1791626400000	1	1	0	0	0	0	0	0	0					\N		create	-5281553475180141570	-6685183638463362173					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer converted","non_usage_billing":1}
1	2	converted	1	1	8	1791626400000	1	1	100000000	100000000	0	0	0	0	0					\N		payment-1	-1223390531458647528	4803177925553007922		ann	kept store		
1	3	converted	2	2	3	1791626400000	1	1	13898520	86101480	0	0	0	0	1	voice	call-de	60	second	\N		call-1	-9200908250457440030	-585813605434093282					
1	4	converted	0	3	13	1791626400000	2	1	0	86101480	0	0	0	0	0					\N		convert	6931384832458676095	3024904903704025183		ann	kept store		
1	5	converted	0	4	12	1791626400000	2	1	1000000000	86101480	0	0	0	0	0					\N		convert	6931384832458676095	3024904903704025183		ann	kept store		
1	6	converted	3	5	4	1791626400000	2	1	200000000	86101480	200000000	0	0	0	1	voice	call-de	60	second	\N		call-2	-1751341372157239361	2345204869871060228					
0	9	prepaid	3	3	14	1793491200000	1	1	0	86101480	0	0	0	0	0					\N			4890389728483383701	0					
2	8	yen	2	5	14	1793491200000	2	1	12345000	-12345000	0	0	0	0	0					\N			8520864776805762794	0					
2	9	yen	3	8	16	1793491200000	2	1	-5000	-12350000	0	0	0	0	0					\N			8520864776805762794	0					
2	10	postpaid	3	3	14	1793491200000	2	1	76670667	-76670667	0	0	0	0	0					\N			1048270862126239834	0					
2	11	postpaid	4	10	16	1793491200000	2	1	667	-76670000	0	0	0	0	0					\N			1048270862126239834	0					
1	7	converted	4	6	14	1793491200000	2	1	200000000	-113898520	0	0	0	0	0					\N			2447215310828698427	0					
2	12	postpaid	5	11	23	1794474000000	2	2	50000000	-26670000	0	0	0	0	0					\N		bank-1	-3700414990900769455	-3855450973629920737		ann	kept store		
0	10	prepaid	4	9	6	1794474000000	1	2	3500000	89601480	0	0	3500000	1	0					\N		refund-1	-4642658209944979806	-5064705209773267603	call-1		kept store		
2	13	postpaid	6	12	6	1794474000000	2	2	5002000	-21668000	0	0	5002000	1	0					\N		refund-1	-6861227784516028165	-1998105710275638079	call-1		kept store		
2	14	postpaid	7	13	4	1794474000000	2	2	7777700	-21668000	7777700	0	0	0	1	voice	call-de	60	second	\N		call-3	-399621805105198948	-4392060490602416661					
2	15	yen	4	9	4	1794474000000	2	2	995000	-12350000	995000	0	0	0	1	voice	call-de	60	second	\N		call-2	4818099394993039198	-3040001430087531388					
0	11	prepaid	0	10	20	1796082600000	1	2	20000000	89601480	0	20000000	1796086200000	1796089800000	0					\N		session-1	-7697308163442054559	1493695054301609738					
0	12	prepaid	0	11	20	1796082600000	1	2	20000000	89601480	0	40000000	1796086200000	1796089800000	0					\N		session-2	2325002813700330571	-5663166909092074726					
0	13	prepaid	5	12	3	1796082600000	1	2	12500000	77101480	0	20000000	0	0	1	voice	call-de	60	second	\N		session-2-report	3924672046537092911	7987101665996066376	session-2				
2	16	postpaid	0	14	20	1796082600000	2	2	20000000	-21668000	7777700	20000000	1796086200000	1796089800000	0					\N		session-1	-4691463465773762093	1493695054301609738					
3	1	temporary	0	0	1	1796082600000	1	1	5000000	0	0	0	0	0	0					\N		create	3066435288645282018	-7714311123461865174					{"currency":"EUR","decimals":6,"low_credit_threshold":null,"minor_digits":2,"name":"Customer temporary","non_usage_billing":1}
3	2	temporary	0	1	12	1796082600000	1	1	5000000	0	0	0	30000000	1796946600000	0					\N		limit	2256121986457709268	2522315209680313397		ann	kept store		
0	14	prepaid	6	13	8	1796083080000	1	2	25000000	102101480	0	20000000	0	0	0					\N		recent-top-up	-2398614261535351875	2164907597677127985		ann	kept store		
0	15	prepaid	7	14	3	1796083080000	1	2	1250000	100851480	0	20000000	0	0	1	voice	call-de	60	second	\N		recent-call	-7225126884078973057	519952839800928796					
\.


--
-- Data for Name: issued; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.issued (document, number, issued_at, due_at, tax_contained, tax_on_deducted, frozen) FROM stdin;
327680	INV-000001	1791626400000	1792886399999	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer one-by-one","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":""}
589824	STM-000001	1793491205000	0	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer prepaid","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":""}
458753	INV-000002	1793491205000	1794787199999	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer converted","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":""}
524290	INV-000003	1793491205000	1794787199999	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer yen","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":""}
655362	INV-000004	1793491205000	1794787199999	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer postpaid","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":""}
851970	CRN-000001	1794474000000	0	0	0	{"issuer":{"name":"","address":[],"tax_id":"","email":""},"customer":{"name":"Customer postpaid","address":[],"tax_id":"","email":""},"tax_rate":"","time_zone":"UTC","refers_to":"INV-000004"}
\.


--
-- Data for Name: lost_entries; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.lost_entries (reconciliation, partition, sequence, account, account_sequence, previous, kind, "time", mode, bill, amount, balance, unbilled, reserved, detail_1, detail_2, category, item, description, quantity, unit, occurred_at, attributes, request_id, fingerprint, refers_to, actor, reason, invoices, settings, outcome) FROM stdin;
\.


--
-- Data for Name: migrations; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.migrations (version) FROM stdin;
1
2
3
\.


--
-- Data for Name: partitions; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.partitions (partition, fence, next_sequence, last_block, last_time, state, reason, stopped_at, owner, lease_until, closed_until) FROM stdin;
1	1	8	e02a2afe139da4d84f9d7b7a77065190	1793491205000	RUNNING		0	cb59bf6f-319f-4108-9de8-cc875e910d98	1795785001625	1793491200000
2	1	17	10897c444a05ba0bf4b57b693f07bee0	1796082600000	RUNNING		0	cb59bf6f-319f-4108-9de8-cc875e910d98	1795785001625	1793491200000
3	1	3	93d8b95d952d3aa1a25edadb354121d0	1796082600000	RUNNING		0	cb59bf6f-319f-4108-9de8-cc875e910d98	1795785001625	1793491200000
0	1	16	8090c26e74b8fc8e9c9b1b0b01aaac48	1796083080000	RUNNING		0	cb59bf6f-319f-4108-9de8-cc875e910d98	1795785001625	1793491200000
\.


--
-- Data for Name: payables; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.payables (document, account, cut_at, total, open_amount) FROM stdin;
327680	one-by-one	1791626400000	20000000	20000000
458753	converted	1793491200000	200000000	113898520
524290	yen	1793491200000	12350000	12350000
655362	postpaid	1793491200000	76670000	21668000
\.


--
-- Data for Name: reconciliations; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.reconciliations (id, partition, at, actor, reason, stopped_because, action, common_sequence, last_sequence) FROM stdin;
\.


--
-- Data for Name: refunds; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.refunds (account, bill, sequence, kind, charge_kind, category, item, unit, quantity, description, amount, "time") FROM stdin;
prepaid	2	4	6	3	1	voice	second		call-de	3500000	1794474000000
postpaid	2	6	6	4	1	voice	second		call-de	5002000	1794474000000
\.


--
-- Data for Name: series; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.series (prefix, last_place) FROM stdin;
STM-	1
INV-	4
CRN-	1
\.


--
-- Data for Name: totals; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.totals (account, bill, kind, category, item, unit, amount, quantity, count, first_at, last_at) FROM stdin;
one-by-one	2	5	3	voice	second	19995000	60	1	1791626400000	1791626400000
one-by-one	2	16	3	voice	second	-5000	60	1	1791626400000	1791626400000
prepaid	1	3	1	voice	second	13898520	60	1	1791626400000	1791626400000
prepaid	1	8	0			100000000		1	1791626400000	1791626400000
postpaid	1	4	1	voice	second	76670667	120	2	1791626400000	1791626400000
yen	1	4	1	voice	second	12345000	60	1	1791626400000	1791626400000
converted	1	3	1	voice	second	13898520	60	1	1791626400000	1791626400000
converted	1	4	1	voice	second	200000000	60	1	1791626400000	1791626400000
converted	1	8	0			100000000		1	1791626400000	1791626400000
prepaid	1	14	0			0		1	1793491200000	1793491200000
postpaid	1	14	0			76670667		1	1793491200000	1793491200000
postpaid	1	16	0			667		1	1793491200000	1793491200000
yen	1	14	0			12345000		1	1793491200000	1793491200000
yen	1	16	0			-5000		1	1793491200000	1793491200000
converted	1	14	0			200000000		1	1793491200000	1793491200000
postpaid	2	23	0			50000000		1	1794474000000	1794474000000
prepaid	2	6	0			3500000		1	1794474000000	1794474000000
postpaid	2	4	1	voice	second	7777700	60	1	1794474000000	1794474000000
postpaid	2	6	0			5002000		1	1794474000000	1794474000000
yen	2	4	1	voice	second	995000	60	1	1794474000000	1794474000000
prepaid	2	3	1	voice	second	13750000	120	2	1796082600000	1796083080000
prepaid	2	8	0			25000000		1	1796083080000	1796083080000
\.


--
-- Data for Name: workers; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.workers (owner, alive_until) FROM stdin;
cb59bf6f-319f-4108-9de8-cc875e910d98	1795785001624
\.


--
-- Name: accounts accounts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (account);


--
-- Name: allocations allocations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT allocations_pkey PRIMARY KEY (account, sequence, credit, document);


--
-- Name: bill_ends bill_ends_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.bill_ends
    ADD CONSTRAINT bill_ends_pkey PRIMARY KEY (account);


--
-- Name: credits credits_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.credits
    ADD CONSTRAINT credits_pkey PRIMARY KEY (account, sequence);


--
-- Name: customers customers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (account);


--
-- Name: documents documents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (id);


--
-- Name: drafts drafts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.drafts
    ADD CONSTRAINT drafts_pkey PRIMARY KEY (kind, cut_at, document);


--
-- Name: entries entries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.entries
    ADD CONSTRAINT entries_pkey PRIMARY KEY (partition, sequence);


--
-- Name: issued issued_number_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.issued
    ADD CONSTRAINT issued_number_key UNIQUE (number);


--
-- Name: issued issued_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.issued
    ADD CONSTRAINT issued_pkey PRIMARY KEY (document);


--
-- Name: lost_entries lost_entries_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lost_entries
    ADD CONSTRAINT lost_entries_pkey PRIMARY KEY (reconciliation, partition, sequence);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: partitions partitions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.partitions
    ADD CONSTRAINT partitions_pkey PRIMARY KEY (partition);


--
-- Name: payables payables_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payables
    ADD CONSTRAINT payables_pkey PRIMARY KEY (document);


--
-- Name: reconciliations reconciliations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (id);


--
-- Name: refunds refunds_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (account, bill, sequence);


--
-- Name: series series_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.series
    ADD CONSTRAINT series_pkey PRIMARY KEY (prefix);


--
-- Name: totals totals_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.totals
    ADD CONSTRAINT totals_pkey PRIMARY KEY (account, bill, kind, category, item, unit);


--
-- Name: workers workers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (owner);


--
-- Name: allocations_of_document; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX allocations_of_document ON public.allocations USING btree (document);


--
-- Name: credits_by_request; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX credits_by_request ON public.credits USING btree (account, request_id);


--
-- Name: documents_by_time; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX documents_by_time ON public.documents USING btree (cut_at, id);


--
-- Name: documents_held; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX documents_held ON public.documents USING btree (id) WHERE (held_reason <> ''::text);


--
-- Name: documents_of_account; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX documents_of_account ON public.documents USING btree (account, cut_at, id);


--
-- Name: documents_of_bill; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX documents_of_bill ON public.documents USING btree (account, bill) WHERE (kind <> 'credit_note'::text);


--
-- Name: entries_by_request; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX entries_by_request ON public.entries USING btree (request_key) WHERE (kind = ANY (ARRAY[(3)::bigint, (4)::bigint, (5)::bigint, (8)::bigint, (23)::bigint]));


--
-- Name: lost_entries_waiting; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX lost_entries_waiting ON public.lost_entries USING btree (partition, sequence) WHERE (outcome = 'WAITING'::text);


--
-- Name: payables_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payables_open ON public.payables USING btree (account) WHERE (open_amount > 0);


--
-- PostgreSQL database dump complete
--

\unrestrict PR2ndVrf3cViMVu6aiQd9l5NUjmfjBcsjM4RkENlMHwATbCBeK1kTYXYyDdM01o

