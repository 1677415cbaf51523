CREATE TYPE execution_status AS ENUM (
    'PENDING',
    'RUNNING',
    'SUCCESS',
    'FAILED',
    'CANCELED'
);
CREATE TABLE artifacts (
    job_execution_id uuid NOT NULL,
    path_key uuid NOT NULL,
    path text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL
);
CREATE TABLE cicd_common_schema (
    version integer NOT NULL
);
CREATE TABLE dependencies (
    job_id uuid NOT NULL,
    "position" integer NOT NULL,
    dependency_id uuid NOT NULL
);
CREATE TABLE job_executions (
    id uuid NOT NULL,
    stage_execution_id uuid NOT NULL,
    job_id uuid NOT NULL,
    status execution_status NOT NULL,
    start_time bigint,
    completion_time bigint,
    allow_failure boolean NOT NULL,
    exit_code bigint,
    queued_at bigint,
    last_sequence bigint NOT NULL,
    waits integer NOT NULL,
    name_key uuid NOT NULL,
    run_number bigint NOT NULL,
    pipeline_execution_id uuid NOT NULL
);
CREATE TABLE jobs (
    id uuid NOT NULL,
    stage_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    place integer NOT NULL,
    script json NOT NULL,
    docker_image json,
    working_dir json,
    allow_failure boolean NOT NULL,
    artifacts json NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    name_key uuid NOT NULL
);
CREATE TABLE logs (
    job_execution_id uuid NOT NULL,
    sequence bigint NOT NULL,
    text bytea NOT NULL
);
CREATE TABLE pipeline_executions (
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    run_number bigint NOT NULL,
    commit_hash json,
    is_local boolean NOT NULL,
    canceled_at bigint,
    status execution_status NOT NULL,
    start_time bigint,
    completion_time bigint,
    end_time bigint,
    pending integer NOT NULL,
    running integer NOT NULL,
    success integer NOT NULL,
    failed integer NOT NULL,
    canceled integer NOT NULL,
    name_key uuid NOT NULL
);
CREATE TABLE pipelines (
    id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    repo_url json NOT NULL,
    branch text NOT NULL COLLATE pg_catalog."C",
    commit_hash json,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    last_run_number bigint NOT NULL
);
CREATE TABLE requests (
    id uuid NOT NULL,
    pipeline_execution_id uuid NOT NULL
);
CREATE TABLE stage_executions (
    id uuid NOT NULL,
    stage_id uuid NOT NULL,
    pipeline_execution_id uuid NOT NULL,
    execution_order integer NOT NULL,
    status execution_status NOT NULL,
    start_time bigint,
    completion_time bigint,
    end_time bigint,
    pending integer NOT NULL,
    running integer NOT NULL,
    success integer NOT NULL,
    failed integer NOT NULL,
    canceled integer NOT NULL,
    name_key uuid NOT NULL,
    run_number bigint NOT NULL
);
CREATE TABLE stages (
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    execution_order integer NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    name_key uuid NOT NULL
);
INSERT INTO artifacts VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', '384e60cf-6790-5dc6-b656-90a74f1a6b09', 'report/b.xml', 5, 'abababababababababababababababababababababababababababababababab');
INSERT INTO artifacts VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', '4d0f1b79-6104-5026-92de-8873e0a94c96', 'report/bäu.xml', 5, 'abababababababababababababababababababababababababababababababab');
INSERT INTO cicd_common_schema VALUES (2);
INSERT INTO dependencies VALUES ('e4b06ce6-0741-47a8-bce4-2c8218072e8c', 0, 'cd613e30-d8f1-4adf-91b7-584a2265b1f5');
INSERT INTO dependencies VALUES ('e4b06ce6-0741-47a8-bce4-2c8218072e8c', 1, '78e51061-7311-48a3-82ce-6f447ed4d57b');
INSERT INTO dependencies VALUES ('e4b06ce6-0741-47a8-bce4-2c8218072e8c', 2, '35bf992d-c9e9-4616-a12e-7696a6cecc1b');
INSERT INTO dependencies VALUES ('afbd67f9-6196-49cf-a198-8ad9f06c144a', 0, 'cd447e35-b8b6-48fe-842e-3d437204e52d');
INSERT INTO dependencies VALUES ('afbd67f9-6196-49cf-a198-8ad9f06c144a', 1, '05b6e6e3-07d4-4edc-9143-1193e6c3f339');
INSERT INTO dependencies VALUES ('afbd67f9-6196-49cf-a198-8ad9f06c144a', 2, '025b413f-8a9a-421e-a648-a7dd06839eb9');
INSERT INTO job_executions VALUES ('ad45f23d-3b1a-41df-987f-d2803bab6c39', 'f3c64af7-75a8-4294-82cd-789a380208a9', 'cd613e30-d8f1-4adf-91b7-584a2265b1f5', 'SUCCESS', 1769860802000000, 1769860806000000, false, 0, 1769860801000000, 3, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 1, '8d88348a-7eed-4d14-b06d-3fef701966a0');
INSERT INTO job_executions VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', '4be03db0-dc25-44bd-b940-67edfe175330', '78e51061-7311-48a3-82ce-6f447ed4d57b', 'SUCCESS', 1769860808000000, 1769860812000000, false, 0, 1769860807000000, 3, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 1, '8d88348a-7eed-4d14-b06d-3fef701966a0');
INSERT INTO job_executions VALUES ('ec148cb4-8e73-4a47-aa90-a8f0d66b829e', '4be03db0-dc25-44bd-b940-67edfe175330', '35bf992d-c9e9-4616-a12e-7696a6cecc1b', 'FAILED', 1769860814000000, 1769860818000000, true, 1, 1769860807000000, 3, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 1, '8d88348a-7eed-4d14-b06d-3fef701966a0');
INSERT INTO job_executions VALUES ('5d5f576c-deb8-4c4c-bb29-7d0b0e5e18ba', 'f0e642f4-3328-4d08-8ded-3c9691eb79fa', 'cd613e30-d8f1-4adf-91b7-584a2265b1f5', 'PENDING', NULL, NULL, false, NULL, 1769860884000000, 0, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 3, 'f320cd57-6d14-475b-b49a-ae908fb5262c');
INSERT INTO job_executions VALUES ('a11d459a-2f97-4d87-9999-9e3fa46d6753', '4be03db0-dc25-44bd-b940-67edfe175330', 'e4b06ce6-0741-47a8-bce4-2c8218072e8c', 'SUCCESS', 1769860820000000, 1769860824000000, false, 0, 1769860819000000, 3, 0, '32153130-e414-5890-bf06-5b1395e1779c', 1, '8d88348a-7eed-4d14-b06d-3fef701966a0');
INSERT INTO job_executions VALUES ('bcfbb050-acab-4a6b-869d-4bd8b3fa7aa7', '5eda92d8-64ac-4db9-9707-107e855c3844', '78e51061-7311-48a3-82ce-6f447ed4d57b', 'SUCCESS', 1769860852000000, 1769860856000000, false, 0, 1769860851000000, 3, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 2, 'be6521cc-3e24-44e3-baf0-27bc08d6af57');
INSERT INTO job_executions VALUES ('803468b6-b610-49f7-b927-0f4eb8b333a8', '81f9c1f6-6c0f-4459-b79b-17aeefba91fc', 'cd447e35-b8b6-48fe-842e-3d437204e52d', 'SUCCESS', 1769860827000000, 1769860831000000, false, 0, 1769860826000000, 3, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 1, 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0');
INSERT INTO job_executions VALUES ('3099fdf5-ab99-454a-a901-e35cd47d380d', 'da711448-96c8-4a19-a4b2-d2bc815a47c5', '05b6e6e3-07d4-4edc-9143-1193e6c3f339', 'FAILED', 1769860833000000, 1769860837000000, false, 1, 1769860832000000, 3, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 1, 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0');
INSERT INTO job_executions VALUES ('f9341c68-966b-4ea1-88be-ab134da98f1d', 'da711448-96c8-4a19-a4b2-d2bc815a47c5', '025b413f-8a9a-421e-a648-a7dd06839eb9', 'SUCCESS', 1769860839000000, 1769860843000000, true, 0, 1769860832000000, 3, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 1, 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0');
INSERT INTO job_executions VALUES ('f0dfb4a5-d8a0-44df-bfd6-3116e1ea24c4', 'da711448-96c8-4a19-a4b2-d2bc815a47c5', 'afbd67f9-6196-49cf-a198-8ad9f06c144a', 'CANCELED', NULL, NULL, false, NULL, NULL, 0, 1, '32153130-e414-5890-bf06-5b1395e1779c', 1, 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0');
INSERT INTO job_executions VALUES ('d037cdff-7c24-4d49-a9d4-95dd81355c53', '99901c04-7549-4bc3-94c5-6c9a9cc9af4e', '78e51061-7311-48a3-82ce-6f447ed4d57b', 'PENDING', NULL, NULL, false, NULL, NULL, 0, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 3, 'f320cd57-6d14-475b-b49a-ae908fb5262c');
INSERT INTO job_executions VALUES ('aa2ca1af-6a10-4b75-a77f-6cbdcc22af58', 'e1fab9d7-8c7e-434f-9dfb-d3d12c4a3698', 'cd613e30-d8f1-4adf-91b7-584a2265b1f5', 'SUCCESS', 1769860846000000, 1769860850000000, false, 0, 1769860845000000, 3, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 2, 'be6521cc-3e24-44e3-baf0-27bc08d6af57');
INSERT INTO job_executions VALUES ('0067dba8-5898-4008-aa17-b9af5b569643', '99901c04-7549-4bc3-94c5-6c9a9cc9af4e', '35bf992d-c9e9-4616-a12e-7696a6cecc1b', 'PENDING', NULL, NULL, true, NULL, NULL, 0, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 3, 'f320cd57-6d14-475b-b49a-ae908fb5262c');
INSERT INTO job_executions VALUES ('a9ec0806-705f-4a16-9622-bd795fec898f', '5eda92d8-64ac-4db9-9707-107e855c3844', '35bf992d-c9e9-4616-a12e-7696a6cecc1b', 'SUCCESS', 1769860858000000, 1769860862000000, true, 0, 1769860851000000, 3, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 2, 'be6521cc-3e24-44e3-baf0-27bc08d6af57');
INSERT INTO job_executions VALUES ('c9546b43-9f9d-4129-8a44-9ebe89d9bf02', '99901c04-7549-4bc3-94c5-6c9a9cc9af4e', 'e4b06ce6-0741-47a8-bce4-2c8218072e8c', 'PENDING', NULL, NULL, false, NULL, NULL, 0, 2, '32153130-e414-5890-bf06-5b1395e1779c', 3, 'f320cd57-6d14-475b-b49a-ae908fb5262c');
INSERT INTO job_executions VALUES ('29e821a4-c748-43e3-9ba1-621582283d15', '5eda92d8-64ac-4db9-9707-107e855c3844', 'e4b06ce6-0741-47a8-bce4-2c8218072e8c', 'SUCCESS', 1769860864000000, 1769860868000000, false, 0, 1769860863000000, 3, 0, '32153130-e414-5890-bf06-5b1395e1779c', 2, 'be6521cc-3e24-44e3-baf0-27bc08d6af57');
INSERT INTO job_executions VALUES ('d92a4aa2-b410-493c-8efb-c8d60b21fbac', '9403560d-97da-438d-9d64-3c25fbb230bb', 'cd447e35-b8b6-48fe-842e-3d437204e52d', 'SUCCESS', 1769860871000000, 1769860875000000, false, 0, 1769860870000000, 3, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 2, '78255d68-0792-4986-bb96-8a437d5c8dfc');
INSERT INTO job_executions VALUES ('0326324d-fb69-4ffb-ba18-90c78092b4d4', '678a5aa3-3b6f-4507-8c5f-e8f8dc3bf364', '025b413f-8a9a-421e-a648-a7dd06839eb9', 'PENDING', NULL, NULL, true, NULL, 1769860876000000, 0, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 2, '78255d68-0792-4986-bb96-8a437d5c8dfc');
INSERT INTO job_executions VALUES ('eb8ac8ce-8a24-4e6b-b313-8131c541013d', '678a5aa3-3b6f-4507-8c5f-e8f8dc3bf364', 'afbd67f9-6196-49cf-a198-8ad9f06c144a', 'CANCELED', NULL, NULL, false, NULL, NULL, 0, 2, '32153130-e414-5890-bf06-5b1395e1779c', 2, '78255d68-0792-4986-bb96-8a437d5c8dfc');
INSERT INTO job_executions VALUES ('2b28fef0-2b9c-414e-a5ac-06d864c2f2e3', '678a5aa3-3b6f-4507-8c5f-e8f8dc3bf364', '05b6e6e3-07d4-4edc-9143-1193e6c3f339', 'CANCELED', 1769860877000000, 1769860880000000, false, NULL, 1769860876000000, 2, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 2, '78255d68-0792-4986-bb96-8a437d5c8dfc');
INSERT INTO job_executions VALUES ('e8e5b461-7589-482b-9a70-2cfa93ea5c4e', '9be3cecb-8c49-4c68-a8c2-4d4244ef7feb', 'cd447e35-b8b6-48fe-842e-3d437204e52d', 'PENDING', NULL, NULL, false, NULL, 1769860882000000, 0, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 3, 'd8f33418-f3d4-4711-9804-f92283868a29');
INSERT INTO job_executions VALUES ('62397bc7-0176-4741-bab9-f87ff5059285', 'c7038069-84c8-4999-a116-7d8fcf23cae8', '05b6e6e3-07d4-4edc-9143-1193e6c3f339', 'CANCELED', NULL, NULL, false, NULL, NULL, 0, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 3, 'd8f33418-f3d4-4711-9804-f92283868a29');
INSERT INTO job_executions VALUES ('f463b337-d20b-4d59-9b61-0487c89da11b', 'c7038069-84c8-4999-a116-7d8fcf23cae8', '025b413f-8a9a-421e-a648-a7dd06839eb9', 'CANCELED', NULL, NULL, true, NULL, NULL, 0, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 3, 'd8f33418-f3d4-4711-9804-f92283868a29');
INSERT INTO job_executions VALUES ('83333218-bd91-41b7-b03e-dca7e2dcaa37', 'c7038069-84c8-4999-a116-7d8fcf23cae8', 'afbd67f9-6196-49cf-a198-8ad9f06c144a', 'CANCELED', NULL, NULL, false, NULL, NULL, 0, 2, '32153130-e414-5890-bf06-5b1395e1779c', 3, 'd8f33418-f3d4-4711-9804-f92283868a29');
INSERT INTO job_executions VALUES ('de3a5db5-154e-4512-9209-3d26ac512b01', 'c10faa40-03ba-43db-b3f7-ba8e0445d656', 'e4b06ce6-0741-47a8-bce4-2c8218072e8c', 'PENDING', NULL, NULL, false, NULL, NULL, 0, 2, '32153130-e414-5890-bf06-5b1395e1779c', 4, 'a2a7ae1f-3ac7-452c-8df8-440407295e42');
INSERT INTO job_executions VALUES ('2e47dc0e-959f-4a51-8cfe-5cd12d5db79b', '8d103ed3-cc66-4e97-9773-308cdc6b13ab', 'cd613e30-d8f1-4adf-91b7-584a2265b1f5', 'SUCCESS', 1769860886000000, 1769860890000000, false, 0, 1769860885000000, 3, 0, '9039ef7c-e586-54a2-810a-5cf143c2c7ef', 4, 'a2a7ae1f-3ac7-452c-8df8-440407295e42');
INSERT INTO job_executions VALUES ('f18dd1ee-d77c-46c0-884f-3dd6415af341', 'c10faa40-03ba-43db-b3f7-ba8e0445d656', '35bf992d-c9e9-4616-a12e-7696a6cecc1b', 'PENDING', NULL, NULL, true, NULL, 1769860891000000, 0, 0, '53622672-d2ad-5560-bdab-3daacfa1e85c', 4, 'a2a7ae1f-3ac7-452c-8df8-440407295e42');
INSERT INTO job_executions VALUES ('ee52bdb6-d102-4a15-99ed-17e3cc0e95ee', 'c10faa40-03ba-43db-b3f7-ba8e0445d656', '78e51061-7311-48a3-82ce-6f447ed4d57b', 'RUNNING', 1769860892000000, NULL, false, NULL, 1769860891000000, 1, 0, '12bfbe42-8330-5449-bad0-54cb62b4fe26', 4, 'a2a7ae1f-3ac7-452c-8df8-440407295e42');
INSERT INTO job_executions VALUES ('a5f09e63-45dd-487d-a81a-a40a2b0b8c12', 'b3df44a4-7467-437a-8b63-e0efb62ac1fe', '44c5b476-3fe3-4d03-87fc-816ac16e2284', 'PENDING', NULL, NULL, false, NULL, 1769860894000000, 0, 0, '507f9038-fd2c-5f1e-9124-c9a74971d008', 1, 'f3b37f32-8702-46c4-8155-d7ef28dd37eb');
INSERT INTO jobs VALUES ('cd613e30-d8f1-4adf-91b7-584a2265b1f5', '1e2feb89-414c-443c-9027-c4d1c386bbc4', 'make', 0, '["make", "make install"]', '"debian"', '"src"', false, '[]', 1769860801000000, 1769860801000000, '9039ef7c-e586-54a2-810a-5cf143c2c7ef');
INSERT INTO jobs VALUES ('78e51061-7311-48a3-82ce-6f447ed4d57b', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'test', 1, '["make test"]', NULL, NULL, false, '["report/*.xml"]', 1769860801000000, 1769860801000000, '12bfbe42-8330-5449-bad0-54cb62b4fe26');
INSERT INTO jobs VALUES ('35bf992d-c9e9-4616-a12e-7696a6cecc1b', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'lint', 2, '["make lint"]', NULL, NULL, true, '[]', 1769860801000000, 1769860801000000, '53622672-d2ad-5560-bdab-3daacfa1e85c');
INSERT INTO jobs VALUES ('e4b06ce6-0741-47a8-bce4-2c8218072e8c', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'sum up', 3, '["make sum"]', NULL, NULL, false, '[]', 1769860801000000, 1769860801000000, '32153130-e414-5890-bf06-5b1395e1779c');
INSERT INTO jobs VALUES ('cd447e35-b8b6-48fe-842e-3d437204e52d', '1a2b8f1f-f1fd-42a2-9755-d4c13a902931', 'make', 0, '["make", "make install"]', '"debian"', '"src"', false, '[]', 1769860826000000, 1769860826000000, '9039ef7c-e586-54a2-810a-5cf143c2c7ef');
INSERT INTO jobs VALUES ('05b6e6e3-07d4-4edc-9143-1193e6c3f339', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', 'test', 1, '["make test"]', NULL, NULL, false, '["report/*.xml"]', 1769860826000000, 1769860826000000, '12bfbe42-8330-5449-bad0-54cb62b4fe26');
INSERT INTO jobs VALUES ('025b413f-8a9a-421e-a648-a7dd06839eb9', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', 'lint', 2, '["make lint"]', NULL, NULL, true, '[]', 1769860826000000, 1769860826000000, '53622672-d2ad-5560-bdab-3daacfa1e85c');
INSERT INTO jobs VALUES ('afbd67f9-6196-49cf-a198-8ad9f06c144a', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', 'sum up', 3, '["make sum"]', NULL, NULL, false, '[]', 1769860826000000, 1769860826000000, '32153130-e414-5890-bf06-5b1395e1779c');
INSERT INTO jobs VALUES ('44c5b476-3fe3-4d03-87fc-816ac16e2284', '2f429ce5-9ff3-478f-8c1b-0c3e1c07724e', 'j', 0, '["x"]', NULL, NULL, false, '[]', 1769860894000000, 1769860894000000, '507f9038-fd2c-5f1e-9124-c9a74971d008');
INSERT INTO logs VALUES ('ad45f23d-3b1a-41df-987f-d2803bab6c39', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('ad45f23d-3b1a-41df-987f-d2803bab6c39', 2, '\x320a');
INSERT INTO logs VALUES ('ad45f23d-3b1a-41df-987f-d2803bab6c39', 3, '\x330a');
INSERT INTO logs VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', 2, '\x320a');
INSERT INTO logs VALUES ('6a8ac4ba-0580-4975-ad2f-89d94a2f20aa', 3, '\x330a');
INSERT INTO logs VALUES ('ec148cb4-8e73-4a47-aa90-a8f0d66b829e', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('ec148cb4-8e73-4a47-aa90-a8f0d66b829e', 2, '\x320a');
INSERT INTO logs VALUES ('ec148cb4-8e73-4a47-aa90-a8f0d66b829e', 3, '\x330a');
INSERT INTO logs VALUES ('a11d459a-2f97-4d87-9999-9e3fa46d6753', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('a11d459a-2f97-4d87-9999-9e3fa46d6753', 2, '\x320a');
INSERT INTO logs VALUES ('a11d459a-2f97-4d87-9999-9e3fa46d6753', 3, '\x330a');
INSERT INTO logs VALUES ('803468b6-b610-49f7-b927-0f4eb8b333a8', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('803468b6-b610-49f7-b927-0f4eb8b333a8', 2, '\x320a');
INSERT INTO logs VALUES ('803468b6-b610-49f7-b927-0f4eb8b333a8', 3, '\x330a');
INSERT INTO logs VALUES ('3099fdf5-ab99-454a-a901-e35cd47d380d', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('3099fdf5-ab99-454a-a901-e35cd47d380d', 2, '\x320a');
INSERT INTO logs VALUES ('3099fdf5-ab99-454a-a901-e35cd47d380d', 3, '\x330a');
INSERT INTO logs VALUES ('f9341c68-966b-4ea1-88be-ab134da98f1d', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('f9341c68-966b-4ea1-88be-ab134da98f1d', 2, '\x320a');
INSERT INTO logs VALUES ('f9341c68-966b-4ea1-88be-ab134da98f1d', 3, '\x330a');
INSERT INTO logs VALUES ('aa2ca1af-6a10-4b75-a77f-6cbdcc22af58', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('aa2ca1af-6a10-4b75-a77f-6cbdcc22af58', 2, '\x320a');
INSERT INTO logs VALUES ('aa2ca1af-6a10-4b75-a77f-6cbdcc22af58', 3, '\x330a');
INSERT INTO logs VALUES ('bcfbb050-acab-4a6b-869d-4bd8b3fa7aa7', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('bcfbb050-acab-4a6b-869d-4bd8b3fa7aa7', 2, '\x320a');
INSERT INTO logs VALUES ('bcfbb050-acab-4a6b-869d-4bd8b3fa7aa7', 3, '\x330a');
INSERT INTO logs VALUES ('a9ec0806-705f-4a16-9622-bd795fec898f', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('a9ec0806-705f-4a16-9622-bd795fec898f', 2, '\x320a');
INSERT INTO logs VALUES ('a9ec0806-705f-4a16-9622-bd795fec898f', 3, '\x330a');
INSERT INTO logs VALUES ('29e821a4-c748-43e3-9ba1-621582283d15', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('29e821a4-c748-43e3-9ba1-621582283d15', 2, '\x320a');
INSERT INTO logs VALUES ('29e821a4-c748-43e3-9ba1-621582283d15', 3, '\x330a');
INSERT INTO logs VALUES ('d92a4aa2-b410-493c-8efb-c8d60b21fbac', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('d92a4aa2-b410-493c-8efb-c8d60b21fbac', 2, '\x320a');
INSERT INTO logs VALUES ('d92a4aa2-b410-493c-8efb-c8d60b21fbac', 3, '\x330a');
INSERT INTO logs VALUES ('2b28fef0-2b9c-414e-a5ac-06d864c2f2e3', 1, '\x');
INSERT INTO logs VALUES ('2b28fef0-2b9c-414e-a5ac-06d864c2f2e3', 2, '\x');
INSERT INTO logs VALUES ('2e47dc0e-959f-4a51-8cfe-5cd12d5db79b', 1, '\x62c3a475200020310a');
INSERT INTO logs VALUES ('2e47dc0e-959f-4a51-8cfe-5cd12d5db79b', 2, '\x320a');
INSERT INTO logs VALUES ('2e47dc0e-959f-4a51-8cfe-5cd12d5db79b', 3, '\x330a');
INSERT INTO logs VALUES ('ee52bdb6-d102-4a15-99ed-17e3cc0e95ee', 1, '\x7374696c6c20e280a6');
INSERT INTO pipeline_executions VALUES ('8d88348a-7eed-4d14-b06d-3fef701966a0', 'b2221a58-008a-45a6-8464-7159c324c985', 1, '"c0ffee"', false, NULL, 'SUCCESS', 1769860802000000, 1769860824000000, 1769860824000000, 0, 0, 2, 0, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0', 'c381e88f-38c0-48fd-8712-b8bc076f3787', 1, '"c0ffee"', false, NULL, 'FAILED', 1769860827000000, 1769860843000000, 1769860843000000, 0, 0, 1, 1, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('be6521cc-3e24-44e3-baf0-27bc08d6af57', 'b2221a58-008a-45a6-8464-7159c324c985', 2, '"beef"', false, NULL, 'SUCCESS', 1769860846000000, 1769860868000000, 1769860868000000, 0, 0, 2, 0, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('78255d68-0792-4986-bb96-8a437d5c8dfc', 'c381e88f-38c0-48fd-8712-b8bc076f3787', 2, '"c0ffee"', false, 1769860879000000, 'RUNNING', 1769860871000000, NULL, 1769860880000000, 0, 1, 1, 0, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('d8f33418-f3d4-4711-9804-f92283868a29', 'c381e88f-38c0-48fd-8712-b8bc076f3787', 3, '"c0ffee"', false, 1769860883000000, 'RUNNING', NULL, NULL, NULL, 1, 0, 0, 0, 1, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('f320cd57-6d14-475b-b49a-ae908fb5262c', 'b2221a58-008a-45a6-8464-7159c324c985', 3, '"c0ffee"', true, NULL, 'PENDING', NULL, NULL, NULL, 2, 0, 0, 0, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('a2a7ae1f-3ac7-452c-8df8-440407295e42', 'b2221a58-008a-45a6-8464-7159c324c985', 4, '"c0ffee"', true, NULL, 'RUNNING', 1769860886000000, NULL, 1769860890000000, 0, 1, 1, 0, 0, '9e54efc1-ae04-52a4-8fa6-b0caf8e7ff1d');
INSERT INTO pipeline_executions VALUES ('f3b37f32-8702-46c4-8155-d7ef28dd37eb', '2adf559a-11cb-4288-8a50-12dc582c18c9', 1, NULL, false, NULL, 'PENDING', NULL, NULL, NULL, 1, 0, 0, 0, 0, '3967e8ed-256e-524b-9fff-6049f99ea5f6');
INSERT INTO pipelines VALUES ('c381e88f-38c0-48fd-8712-b8bc076f3787', 'build', '"https://example.org/repo.git"', 'develop', '"c0ffee"', 1769860826000000, 1769860826000000, 3);
INSERT INTO pipelines VALUES ('b2221a58-008a-45a6-8464-7159c324c985', 'build', '"https://example.org/repo.git"', 'main', '"c0ffee"', 1769860801000000, 1769860801000000, 4);
INSERT INTO pipelines VALUES ('2adf559a-11cb-4288-8a50-12dc582c18c9', 'deploy', '"https://example.org/repo.git"', 'main', NULL, 1769860894000000, 1769860894000000, 1);
INSERT INTO requests VALUES ('00000000-0000-0000-0000-000000000001', 'f320cd57-6d14-475b-b49a-ae908fb5262c');
INSERT INTO requests VALUES ('00000000-0000-0000-0000-000000000002', 'a2a7ae1f-3ac7-452c-8df8-440407295e42');
INSERT INTO stage_executions VALUES ('f3c64af7-75a8-4294-82cd-789a380208a9', '1e2feb89-414c-443c-9027-c4d1c386bbc4', '8d88348a-7eed-4d14-b06d-3fef701966a0', 0, 'SUCCESS', 1769860802000000, 1769860806000000, 1769860806000000, 0, 0, 1, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 1);
INSERT INTO stage_executions VALUES ('4be03db0-dc25-44bd-b940-67edfe175330', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', '8d88348a-7eed-4d14-b06d-3fef701966a0', 1, 'SUCCESS', 1769860808000000, 1769860824000000, 1769860824000000, 0, 0, 3, 0, 0, '804d368d-7106-5a77-851d-922dea6ff2b2', 1);
INSERT INTO stage_executions VALUES ('81f9c1f6-6c0f-4459-b79b-17aeefba91fc', '1a2b8f1f-f1fd-42a2-9755-d4c13a902931', 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0', 0, 'SUCCESS', 1769860827000000, 1769860831000000, 1769860831000000, 0, 0, 1, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 1);
INSERT INTO stage_executions VALUES ('da711448-96c8-4a19-a4b2-d2bc815a47c5', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', 'e5446dd4-552b-42f6-be3e-dc0a1ef2a4f0', 1, 'FAILED', 1769860833000000, 1769860843000000, 1769860843000000, 0, 0, 1, 1, 1, '804d368d-7106-5a77-851d-922dea6ff2b2', 1);
INSERT INTO stage_executions VALUES ('e1fab9d7-8c7e-434f-9dfb-d3d12c4a3698', '1e2feb89-414c-443c-9027-c4d1c386bbc4', 'be6521cc-3e24-44e3-baf0-27bc08d6af57', 0, 'SUCCESS', 1769860846000000, 1769860850000000, 1769860850000000, 0, 0, 1, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 2);
INSERT INTO stage_executions VALUES ('5eda92d8-64ac-4db9-9707-107e855c3844', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'be6521cc-3e24-44e3-baf0-27bc08d6af57', 1, 'SUCCESS', 1769860852000000, 1769860868000000, 1769860868000000, 0, 0, 3, 0, 0, '804d368d-7106-5a77-851d-922dea6ff2b2', 2);
INSERT INTO stage_executions VALUES ('9403560d-97da-438d-9d64-3c25fbb230bb', '1a2b8f1f-f1fd-42a2-9755-d4c13a902931', '78255d68-0792-4986-bb96-8a437d5c8dfc', 0, 'SUCCESS', 1769860871000000, 1769860875000000, 1769860875000000, 0, 0, 1, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 2);
INSERT INTO stage_executions VALUES ('678a5aa3-3b6f-4507-8c5f-e8f8dc3bf364', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', '78255d68-0792-4986-bb96-8a437d5c8dfc', 1, 'RUNNING', 1769860877000000, NULL, 1769860880000000, 1, 0, 0, 0, 2, '804d368d-7106-5a77-851d-922dea6ff2b2', 2);
INSERT INTO stage_executions VALUES ('9be3cecb-8c49-4c68-a8c2-4d4244ef7feb', '1a2b8f1f-f1fd-42a2-9755-d4c13a902931', 'd8f33418-f3d4-4711-9804-f92283868a29', 0, 'PENDING', NULL, NULL, NULL, 1, 0, 0, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 3);
INSERT INTO stage_executions VALUES ('c7038069-84c8-4999-a116-7d8fcf23cae8', 'b9d179e0-6c0f-44f5-b813-0c4237730edf', 'd8f33418-f3d4-4711-9804-f92283868a29', 1, 'CANCELED', NULL, NULL, NULL, 0, 0, 0, 0, 3, '804d368d-7106-5a77-851d-922dea6ff2b2', 3);
INSERT INTO stage_executions VALUES ('f0e642f4-3328-4d08-8ded-3c9691eb79fa', '1e2feb89-414c-443c-9027-c4d1c386bbc4', 'f320cd57-6d14-475b-b49a-ae908fb5262c', 0, 'PENDING', NULL, NULL, NULL, 1, 0, 0, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 3);
INSERT INTO stage_executions VALUES ('99901c04-7549-4bc3-94c5-6c9a9cc9af4e', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'f320cd57-6d14-475b-b49a-ae908fb5262c', 1, 'PENDING', NULL, NULL, NULL, 3, 0, 0, 0, 0, '804d368d-7106-5a77-851d-922dea6ff2b2', 3);
INSERT INTO stage_executions VALUES ('8d103ed3-cc66-4e97-9773-308cdc6b13ab', '1e2feb89-414c-443c-9027-c4d1c386bbc4', 'a2a7ae1f-3ac7-452c-8df8-440407295e42', 0, 'SUCCESS', 1769860886000000, 1769860890000000, 1769860890000000, 0, 0, 1, 0, 0, '0caf5a3c-1ef2-55b8-be5c-620181e247ea', 4);
INSERT INTO stage_executions VALUES ('c10faa40-03ba-43db-b3f7-ba8e0445d656', '9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'a2a7ae1f-3ac7-452c-8df8-440407295e42', 1, 'RUNNING', 1769860892000000, NULL, NULL, 2, 1, 0, 0, 0, '804d368d-7106-5a77-851d-922dea6ff2b2', 4);
INSERT INTO stage_executions VALUES ('b3df44a4-7467-437a-8b63-e0efb62ac1fe', '2f429ce5-9ff3-478f-8c1b-0c3e1c07724e', 'f3b37f32-8702-46c4-8155-d7ef28dd37eb', 0, 'PENDING', NULL, NULL, NULL, 1, 0, 0, 0, 0, '4ceab12b-a360-5749-8033-4e2d081a0792', 1);
INSERT INTO stages VALUES ('1e2feb89-414c-443c-9027-c4d1c386bbc4', 'b2221a58-008a-45a6-8464-7159c324c985', 'compile', 0, 1769860801000000, 1769860801000000, '0caf5a3c-1ef2-55b8-be5c-620181e247ea');
INSERT INTO stages VALUES ('9b810e76-6ec9-4286-a3ca-828dd5f4b3b2', 'b2221a58-008a-45a6-8464-7159c324c985', 'check', 1, 1769860801000000, 1769860801000000, '804d368d-7106-5a77-851d-922dea6ff2b2');
INSERT INTO stages VALUES ('1a2b8f1f-f1fd-42a2-9755-d4c13a902931', 'c381e88f-38c0-48fd-8712-b8bc076f3787', 'compile', 0, 1769860826000000, 1769860826000000, '0caf5a3c-1ef2-55b8-be5c-620181e247ea');
INSERT INTO stages VALUES ('b9d179e0-6c0f-44f5-b813-0c4237730edf', 'c381e88f-38c0-48fd-8712-b8bc076f3787', 'check', 1, 1769860826000000, 1769860826000000, '804d368d-7106-5a77-851d-922dea6ff2b2');
INSERT INTO stages VALUES ('2f429ce5-9ff3-478f-8c1b-0c3e1c07724e', '2adf559a-11cb-4288-8a50-12dc582c18c9', 's', 0, 1769860894000000, 1769860894000000, '4ceab12b-a360-5749-8033-4e2d081a0792');
ALTER TABLE ONLY artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (job_execution_id, path_key);
ALTER TABLE ONLY cicd_common_schema
    ADD CONSTRAINT cicd_common_schema_pkey PRIMARY KEY (version);
ALTER TABLE ONLY dependencies
    ADD CONSTRAINT dependencies_pkey PRIMARY KEY (job_id, "position");
ALTER TABLE ONLY job_executions
    ADD CONSTRAINT job_executions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY job_executions
    ADD CONSTRAINT job_executions_stage_execution_id_job_id_key UNIQUE (stage_execution_id, job_id);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_stage_id_place_key UNIQUE (stage_id, place);
ALTER TABLE ONLY logs
    ADD CONSTRAINT logs_pkey PRIMARY KEY (job_execution_id, sequence);
ALTER TABLE ONLY pipeline_executions
    ADD CONSTRAINT pipeline_executions_pipeline_id_run_number_key UNIQUE (pipeline_id, run_number);
ALTER TABLE ONLY pipeline_executions
    ADD CONSTRAINT pipeline_executions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY stage_executions
    ADD CONSTRAINT stage_executions_pipeline_execution_id_stage_id_key UNIQUE (pipeline_execution_id, stage_id);
ALTER TABLE ONLY stage_executions
    ADD CONSTRAINT stage_executions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY stages
    ADD CONSTRAINT stages_pipeline_id_execution_order_key UNIQUE (pipeline_id, execution_order);
ALTER TABLE ONLY stages
    ADD CONSTRAINT stages_pkey PRIMARY KEY (id);
CREATE INDEX dependencies_by_dependency ON dependencies USING btree (dependency_id);
CREATE INDEX job_executions_by_name ON job_executions USING btree (name_key, run_number, pipeline_execution_id);
CREATE INDEX job_executions_by_status ON job_executions USING btree (name_key, status, run_number, pipeline_execution_id);
CREATE INDEX job_executions_unheard ON job_executions USING btree (queued_at, id) WHERE ((status = 'PENDING'::execution_status) AND (queued_at IS NOT NULL));
CREATE INDEX job_executions_waiting ON job_executions USING btree (stage_execution_id, waits) WHERE ((status = 'PENDING'::execution_status) AND (queued_at IS NULL));
CREATE INDEX jobs_by_name ON jobs USING btree (name_key);
CREATE INDEX pipeline_executions_by_name ON pipeline_executions USING btree (name_key, run_number, id);
CREATE INDEX pipeline_executions_by_status ON pipeline_executions USING btree (name_key, status, run_number, id);
CREATE INDEX pipelines_by_name ON pipelines USING btree (name, id);
CREATE INDEX stage_executions_by_name ON stage_executions USING btree (name_key, run_number, pipeline_execution_id);
CREATE INDEX stage_executions_by_status ON stage_executions USING btree (name_key, status, run_number, pipeline_execution_id);
CREATE INDEX stage_executions_open ON stage_executions USING btree (pipeline_execution_id, execution_order) WHERE (status <> 'SUCCESS'::execution_status);
CREATE INDEX stages_by_name ON stages USING btree (name_key);
ALTER TABLE ONLY artifacts
    ADD CONSTRAINT artifacts_job_execution_id_fkey FOREIGN KEY (job_execution_id) REFERENCES job_executions(id);
ALTER TABLE ONLY dependencies
    ADD CONSTRAINT dependencies_dependency_id_fkey FOREIGN KEY (dependency_id) REFERENCES jobs(id);
ALTER TABLE ONLY dependencies
    ADD CONSTRAINT dependencies_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id);
ALTER TABLE ONLY job_executions
    ADD CONSTRAINT job_executions_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs(id);
ALTER TABLE ONLY job_executions
    ADD CONSTRAINT job_executions_pipeline_execution_id_fkey FOREIGN KEY (pipeline_execution_id) REFERENCES pipeline_executions(id);
ALTER TABLE ONLY job_executions
    ADD CONSTRAINT job_executions_stage_execution_id_fkey FOREIGN KEY (stage_execution_id) REFERENCES stage_executions(id);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_stage_id_fkey FOREIGN KEY (stage_id) REFERENCES stages(id);
ALTER TABLE ONLY logs
    ADD CONSTRAINT logs_job_execution_id_fkey FOREIGN KEY (job_execution_id) REFERENCES job_executions(id);
ALTER TABLE ONLY pipeline_executions
    ADD CONSTRAINT pipeline_executions_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES pipelines(id);
ALTER TABLE ONLY requests
    ADD CONSTRAINT requests_pipeline_execution_id_fkey FOREIGN KEY (pipeline_execution_id) REFERENCES pipeline_executions(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY stage_executions
    ADD CONSTRAINT stage_executions_pipeline_execution_id_fkey FOREIGN KEY (pipeline_execution_id) REFERENCES pipeline_executions(id);
ALTER TABLE ONLY stage_executions
    ADD CONSTRAINT stage_executions_stage_id_fkey FOREIGN KEY (stage_id) REFERENCES stages(id);
ALTER TABLE ONLY stages
    ADD CONSTRAINT stages_pipeline_id_fkey FOREIGN KEY (pipeline_id) REFERENCES pipelines(id);
