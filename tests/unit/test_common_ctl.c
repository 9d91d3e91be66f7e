/*
 * test_common_ctl.c - control protocol: a server in a thread, blocking clients;
 * and the table of commands.
 */
#include <check.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/commands.h"
#include "common/ctl.h"
#include "common/diag.h"
#include "common/json.h"

static char dir[] = "/tmp/ctl-test.XXXXXX";
static char path[64];
static struct event_base *base;
static struct ctl_server *server;
static pthread_t thread;
static struct event *stop;
static int pipe_fd[2];
static volatile int cancelled;

/* ------------------------------------------------------------------ handlers */

static void answer_args(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)arg;
	ctl_req_done(req, json_deep_copy(args));
}

static void later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ctl_req_progress(arg, json_pack("{si}", "done", 2));
	ctl_req_done(arg, NULL);
}

/* Answers after a while, with progress. */
static void apply(void *arg, struct ctl_req *req, const json_t *args)
{
	struct timeval tv = {.tv_usec = 50000};
	(void)arg, (void)args;
	ctl_req_progress(req, json_pack("{si}", "done", 1));
	event_base_once(base, -1, EV_TIMEOUT, later, req, &tv);
}

static void check_file(void *arg, struct ctl_req *req, const json_t *args)
{
	struct diag d;
	const char *line = "x \xff y";
	(void)arg, (void)args;
	diag_init(&d);
	diag_add(&d, DIAG_ERROR, "a.xml", 3, 5, 2, line, strlen(line), "bad %s", "\xfe");
	diag_add(&d, DIAG_WARNING, "a.xml", 4, 0, 0, NULL, 0, "odd");
	ctl_req_fail(req, "refused", &d, "a.xml: \xff");
	diag_clear(&d);
}

static void on_cancel(void *arg)
{
	(void)arg;
	cancelled = 1;
	ck_assert_int_eq(write(pipe_fd[1], "c", 1), 1);
}

static void never(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)arg, (void)args;
	ctl_req_on_cancel(req, on_cancel, NULL);
}

static void large(void *arg, struct ctl_req *req, const json_t *args)
{
	char *text = malloc(20000001);
	(void)arg, (void)args;
	memset(text, 'x', 20000000);
	text[20000000] = 0;
	ctl_req_done(req, json_string(text));
	free(text);
}

static struct ctl_handler handlers[64];

/* Every command of a PDP has a handler; some are special. */
static void fill_handlers(void)
{
	static const struct ctl_handler special[] = {{"apply", apply}, {"check", check_file},
	    {"rekey", never}, {"show pib", large}, {"log", ctl_cmd_log}};
	size_t n = 0;

	for (const struct command *c = commands; c->name; c++) {
		if (!(c->where & COMMAND_PDP))
			continue;
		handlers[n] = (struct ctl_handler) {c->name, answer_args};
		for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
			if (strcmp(special[i].cmd, c->name) == 0)
				handlers[n] = special[i];
		n++;
	}
	handlers[n] = (struct ctl_handler) {0};
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	event_base_loopbreak(base);
}

static void *loop(void *arg)
{
	(void)arg;
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static int stop_fd[2];

static void setup(void)
{
	char err[CTL_ERR_LEN] = "";
	struct ctl_conf conf = {
	    .path = path, .mode = 0666, .where = COMMAND_PDP, .max_request = 1 << 20};

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_int_eq(pipe(pipe_fd), 0);
	ck_assert_int_eq(pipe(stop_fd), 0);
	fill_handlers();
	base = event_base_new();
	server = ctl_server_new(base, &conf, handlers, NULL, err);
	ck_assert_msg(server != NULL, "%s", err);
	stop = event_new(base, stop_fd[0], EV_READ, on_stop, NULL);
	event_add(stop, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, loop, NULL), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(write(stop_fd[1], "x", 1), 1);
	pthread_join(thread, NULL);
	ctl_server_free(server);
	event_free(stop);
	event_base_free(base);
	ck_assert_int_ne(access(path, F_OK), 0);
	rmdir(dir);
}

/* ------------------------------------------------------------------ tests */

static json_t *call(const char *cmd, json_t *args)
{
	char err[CTL_ERR_LEN];
	json_t *reply;
	ck_assert_msg(ctl_client_call(path, cmd, args, NULL, NULL, &reply, err) == 0, "%s", err);
	return reply;
}

START_TEST(answers)
{
	json_t *r = call("show ce", json_pack("{ss}", "name", "paris"));
	ck_assert(json_get_bool(r, "ok", false));
	ck_assert_str_eq(json_get_string(json_object_get(r, "result"), "name", ""), "paris");
	json_decref(r);

	r = call("show ces", NULL);
	ck_assert(json_is_object(json_object_get(r, "result")));
	json_decref(r);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
}
END_TEST

static void count_progress(void *arg, const json_t *p)
{
	int *sum = arg;
	*sum = *sum * 10 + (int)json_get_int(p, "done", 0);
}

START_TEST(answers_later)
{
	char err[CTL_ERR_LEN];
	json_t *r;
	int seen = 0;

	ck_assert_int_eq(ctl_client_call(path, "apply", NULL, count_progress, &seen, &r, err), 0);
	ck_assert_int_eq(seen, 12);
	ck_assert(json_get_bool(r, "ok", false));
	ck_assert(json_is_null(json_object_get(r, "result")));
	json_decref(r);
}
END_TEST

START_TEST(faults_travel)
{
	json_t *r = call("check", NULL);
	const json_t *e = json_object_get(r, "error");
	struct diag d;

	ck_assert(!json_get_bool(r, "ok", true));
	ck_assert_str_eq(json_get_string(e, "code", ""), "refused");
	ck_assert_str_eq(json_get_string(e, "message", ""), "a.xml: ?");
	diag_init(&d);
	json_to_diag(json_object_get(e, "diags"), &d);
	ck_assert_uint_eq(d.errors, 1);
	ck_assert_uint_eq(d.warnings, 1);
	ck_assert_str_eq(d.entry[0].file, "a.xml");
	ck_assert_uint_eq(d.entry[0].line, 3);
	ck_assert_uint_eq(d.entry[0].column, 5);
	ck_assert_uint_eq(d.entry[0].width, 2);
	ck_assert_str_eq(d.entry[0].text, "bad ?");
	ck_assert_str_eq(d.entry[0].source, "x ? y");
	diag_clear(&d);
	json_decref(r);
}
END_TEST

static void expect_error(json_t *r, const char *code)
{
	ck_assert(!json_get_bool(r, "ok", true));
	ck_assert_str_eq(json_get_string(json_object_get(r, "error"), "code", ""), code);
	json_decref(r);
}

START_TEST(refusals)
{
	expect_error(call("show sa", NULL), "unknown"); /* a PEP's */
	expect_error(call("nonsense", NULL), "unknown");
	expect_error(call("log", json_pack("{ss}", "level", "loud")), "usage");
}
END_TEST

/* Somebody else may read but not change. */
START_TEST(permissions)
{
	if (geteuid() != 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		json_t *r = call("rekey", NULL);
		const json_t *e = json_object_get(r, "error");
		if (strcmp(json_get_string(e, "code", ""), "denied") != 0)
			_exit(3);
		_exit(json_get_bool(call("show ces", NULL), "ok", false) ? 0 : 4);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(large_answers)
{
	json_t *r = call("show pib", NULL);
	ck_assert_uint_eq(json_string_length(json_object_get(r, "result")), 20000000);
	json_decref(r);
}
END_TEST

START_TEST(oversized_request)
{
	char *text = malloc(8000001);
	memset(text, 'x', 8000000);
	text[8000000] = 0;
	expect_error(call("show ce", json_pack("{so}", "name", json_string(text))), "too_big");
	text[900000] = 0; /* below the bound */
	json_t *r = call("show ce", json_pack("{so}", "name", json_string(text)));
	ck_assert(json_get_bool(r, "ok", false));
	json_decref(r);
	free(text);
}
END_TEST

static int raw(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(sun.sun_path, path);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void say(int fd, const char *s)
{
	ck_assert_int_eq(write(fd, s, strlen(s)), (ssize_t)strlen(s));
}

/* Reads until n lines are there. */
static char *hear(int fd, int n)
{
	static char text[65536];
	size_t len = 0;
	while (n > 0 && len + 1 < sizeof(text)) {
		ck_assert_int_eq(read(fd, text + len, 1), 1);
		n -= text[len++] == '\n';
	}
	text[len] = 0;
	return text;
}

START_TEST(raw_bytes)
{
	int fd = raw();
	say(fd, "nonsense\n[1]\n{}\n{\"v\":2,\"id\":3,\"cmd\":\"show ces\"}\n");
	char *s = hear(fd, 4);
	ck_assert_ptr_nonnull(strstr(s, "\"syntax\""));
	ck_assert_ptr_nonnull(strstr(s, "expected a JSON object"));
	ck_assert_ptr_nonnull(strstr(s, "\"id\":3"));
	/* Several requests in one go are answered in order. */
	say(fd, "{\"v\":1,\"id\":\"a\",\"cmd\":\"apply\"}\n{\"v\":1,\"id\":2,\"cmd\":\"show "
		"ces\"}\n{\"v\":1,"
		"\"id\":3,\"cmd\":\"sh");
	s = hear(fd, 4);
	ck_assert_str_eq(s, "{\"id\":\"a\",\"progress\":{\"done\":1}}\n"
			    "{\"id\":\"a\",\"progress\":{\"done\":2}}\n"
			    "{\"id\":\"a\",\"ok\":true,\"result\":null}\n"
			    "{\"id\":2,\"ok\":true,\"result\":{}}\n");
	say(fd, "ow vpns\",\"args\":{\"k\":1}}\n");
	ck_assert_str_eq(hear(fd, 1), "{\"id\":3,\"ok\":true,\"result\":{\"k\":1}}\n");
	close(fd);
}
END_TEST

START_TEST(cancel)
{
	char c;
	int fd = raw();
	say(fd, "{\"v\":1,\"id\":1,\"cmd\":\"rekey\"}\n");
	usleep(50000);
	close(fd);
	ck_assert_int_eq(read(pipe_fd[0], &c, 1), 1);
	ck_assert_int_eq(cancelled, 1);

	/* Without a cancel callback the request lives on unheard. */
	fd = raw();
	say(fd, "{\"v\":1,\"id\":1,\"cmd\":\"apply\"}\n");
	close(fd);
	usleep(100000);

	/* A request under way when the server ends is cancelled: see teardown. */
	fd = raw();
	say(fd, "{\"v\":1,\"id\":1,\"cmd\":\"rekey\"}\n");
	usleep(50000);
}
END_TEST

START_TEST(two_servers)
{
	char err[CTL_ERR_LEN];
	struct ctl_conf conf = {.path = path, .where = COMMAND_PDP};

	ck_assert_ptr_null(ctl_server_new(base, &conf, handlers, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "another daemon"));
	/* A socket nobody listens on is replaced; a file is not. */
	char stale[80];
	snprintf(stale, sizeof(stale), "%s2", path);
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	strcpy(sun.sun_path, stale);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	conf.path = stale;
	struct event_base *b2 = event_base_new();
	struct ctl_server *s2 = ctl_server_new(b2, &conf, handlers, NULL, err);
	ck_assert_msg(s2 != NULL, "%s", err);
	ctl_server_free(s2);
	FILE *f = fopen(stale, "w");
	fclose(f);
	ck_assert_ptr_null(ctl_server_new(b2, &conf, handlers, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "not a socket"));
	unlink(stale);
	event_base_free(b2);
}
END_TEST

START_TEST(handlers_and_commands_agree)
{
	char err[CTL_ERR_LEN];
	static const struct ctl_handler none[] = {{0}};
	struct ctl_conf conf = {.path = "/nonexistent/s", .where = COMMAND_PEP};

	ck_assert_ptr_null(ctl_server_new(NULL, &conf, none, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "has no handler"));
	ck_assert_ptr_null(ctl_server_new(NULL, &conf, handlers, NULL, err));
	fill_handlers();
	handlers[0].cmd = "nonsense";
	conf.where = 0;
	ck_assert_ptr_null(ctl_server_new(NULL, &conf, handlers, NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "has no command"));
}
END_TEST

START_TEST(no_daemon)
{
	char err[CTL_ERR_LEN];
	json_t *r;
	ck_assert_int_eq(
	    ctl_client_call("/nonexistent/s", "show ces", NULL, NULL, NULL, &r, err), -1);
	ck_assert_ptr_nonnull(strstr(err, "no daemon listens there"));
}
END_TEST

START_TEST(command_table)
{
	char key[32], last[64] = "";
	int min, max;

	for (const struct command *c = commands; c->name; c++) {
		ck_assert_ptr_eq(command_find(c->name), c);
		ck_assert_str_ne(c->name, last);
		snprintf(last, sizeof(last), "%s", c->name);
		ck_assert(c->where && c->help[0] && c->help[strlen(c->help) - 1] != '.');
		command_arg_count(c, &min, &max);
		ck_assert_int_le(min, max);
		for (int i = 0; i < max; i++)
			ck_assert_ptr_nonnull(command_arg_key(c, i, key, sizeof(key)));
		ck_assert_ptr_null(command_arg_key(c, max, key, sizeof(key)));
		for (const struct command_opt *o = c->opt; o && o->name; o++)
			ck_assert(strncmp(o->name, "--", 2) == 0 && o->help[0]);
	}
	const struct command *pib = command_find("show pib");
	command_arg_count(pib, &min, &max);
	ck_assert(min == 0 && max == 2);
	ck_assert_str_eq(command_arg_key(pib, 1, key, sizeof(key)), "class");
}
END_TEST

START_TEST(command_words)
{
	char show[] = "show", vpn[] = "vpn", apply_word[] = "apply", vp[] = "vp";
	char *const a[] = {show, vpn, apply_word}, *const b[] = {apply_word, show},
		    *const c[] = {show, vp};
	int used;

	ck_assert_ptr_eq(command_match(3, a, &used), command_find("show vpn"));
	ck_assert_int_eq(used, 2);
	ck_assert_ptr_eq(command_match(2, b, &used), command_find("apply"));
	ck_assert_int_eq(used, 1);
	ck_assert_ptr_null(command_match(2, c, &used));
	ck_assert_ptr_null(command_match(1, a, &used));
	ck_assert_ptr_null(command_match(0, a, &used));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("common_ctl");
	TCase *t = tcase_create("ctl"), *plain = tcase_create("commands");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, answers);
	tcase_add_test(t, answers_later);
	tcase_add_test(t, faults_travel);
	tcase_add_test(t, refusals);
	tcase_add_test(t, permissions);
	tcase_add_test(t, large_answers);
	tcase_add_test(t, oversized_request);
	tcase_add_test(t, raw_bytes);
	tcase_add_test(t, cancel);
	tcase_add_test(t, two_servers);
	tcase_set_timeout(t, 30);
	tcase_add_test(plain, handlers_and_commands_agree);
	tcase_add_test(plain, no_daemon);
	tcase_add_test(plain, command_table);
	tcase_add_test(plain, command_words);
	suite_add_tcase(s, t);
	suite_add_tcase(s, plain);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
