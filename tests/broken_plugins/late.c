/*
 * The whole plugin of ABI 1.0 whose work is done late: each stream has a thread that sleeps for a time drawn by lot before each
 * piece of work. FLAGOS_LATE_SEED, which a test prints, gives the lots.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <flagos_plugin.h>
#include <pthread.h>
#include <unistd.h>

flagos_status_t whole_plugin_open(const flagos_host_t* given, flagos_plugin_t* out_plugin);
#define flagos_plugin_open whole_plugin_open
#include "../abi_history/1.0/plugin.c"
#undef flagos_plugin_open

enum { work_most = 64, delay_most_us = 3000 };

typedef struct {
  void (*run)(void* target, const void* source, uint64_t size_bytes, uint32_t pattern_bytes);
  void* target;
  const void* source;
  uint64_t size_bytes;
  uint32_t pattern_bytes;
  uint32_t pattern;
  uint64_t* wait_for; /* an event's count of records, and the one to wait for */
  uint64_t wait_count;
  uint64_t* count; /* to be raised */
} work_t;

typedef struct {
  pthread_t thread;
  work_t queue[work_most];
  uint64_t queued, done;
  unsigned lots;
  int closing;
} late_stream;

typedef struct {
  uint64_t asked, done, done_ns;
} late_event;

/* One lock for everything: what is tested is the order, not the speed. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned seed;

static void run_copy(void* target, const void* source, uint64_t size_bytes, uint32_t unused) {
  (void)unused;
  memmove(target, source, size_bytes);
}

static void run_fill(void* target, const void* pattern, uint64_t size_bytes,
                     uint32_t pattern_bytes) {
  for (uint64_t i = 0; i < size_bytes; i += pattern_bytes)
    memcpy((unsigned char*)target + i, pattern, pattern_bytes);
}

static void* work_late(void* given) {
  late_stream* const stream = given;
  pthread_mutex_lock(&lock);
  while (1) {
    while (stream->done == stream->queued && !stream->closing) pthread_cond_wait(&changed, &lock);
    if (stream->done == stream->queued) break;
    work_t* const work = &stream->queue[stream->done % work_most];
    const unsigned delay_us = (unsigned)rand_r(&stream->lots) % delay_most_us;
    pthread_mutex_unlock(&lock);
    usleep(delay_us);
    pthread_mutex_lock(&lock);
    while (work->wait_for != NULL && *work->wait_for < work->wait_count)
      pthread_cond_wait(&changed, &lock);
    if (work->run != NULL)
      work->run(work->target, work->source != NULL ? work->source : &work->pattern,
                work->size_bytes, work->pattern_bytes);
    if (work->count != NULL) {
      ++*work->count;
      ((late_event*)((char*)work->count - offsetof(late_event, done)))->done_ns =
          host->now_ns(host->context);
    }
    ++stream->done;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static flagos_status_t queue_work(flagos_plugin_stream_t* given, const work_t* work) {
  late_stream* const stream = (late_stream*)given;
  pthread_mutex_lock(&lock);
  while (stream->queued - stream->done == work_most) pthread_cond_wait(&changed, &lock);
  stream->queue[stream->queued++ % work_most] = *work;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return FLAGOS_STATUS_OK;
}

static flagos_status_t wait_count(const uint64_t* count, uint64_t wanted, uint64_t timeout_ns) {
  struct timespec end;
  int result = 0;
  const uint64_t most_ns = 3600000000000u;
  const uint64_t wait_ns = timeout_ns < most_ns ? timeout_ns : most_ns;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += (time_t)((end.tv_nsec + wait_ns) / 1000000000u);
  end.tv_nsec = (long)((end.tv_nsec + wait_ns) % 1000000000u);
  pthread_mutex_lock(&lock);
  while (*count < wanted && result != ETIMEDOUT)
    result = pthread_cond_timedwait(&changed, &lock, &end);
  const int reached = *count >= wanted;
  pthread_mutex_unlock(&lock);
  return reached ? FLAGOS_STATUS_OK : FLAGOS_STATUS_TIMEOUT;
}

static flagos_status_t late_stream_create(flagos_plugin_device_t* device,
                                          const flagos_stream_desc_t* desc,
                                          flagos_plugin_stream_t** out_stream) {
  late_stream* const stream = calloc(1, sizeof(*stream));
  (void)device, (void)desc;
  if (stream == NULL) return fail(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "no memory is left");
  stream->lots = ++seed;
  if (pthread_create(&stream->thread, NULL, work_late, stream) != 0)
    return free(stream), fail(FLAGOS_STATUS_OUT_OF_RESOURCES, "no thread is left");
  *out_stream = (flagos_plugin_stream_t*)stream;
  return FLAGOS_STATUS_OK;
}

static void late_stream_destroy(flagos_plugin_stream_t* given) {
  late_stream* const stream = (late_stream*)given;
  pthread_mutex_lock(&lock);
  stream->closing = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  pthread_join(stream->thread, NULL);
  free(stream);
}

static flagos_status_t late_synchronize(flagos_plugin_stream_t* given, uint64_t timeout_ns) {
  late_stream* const stream = (late_stream*)given;
  pthread_mutex_lock(&lock);
  const uint64_t queued = stream->queued;
  pthread_mutex_unlock(&lock);
  return wait_count(&stream->done, queued, timeout_ns);
}

static flagos_status_t late_wait_event(flagos_plugin_stream_t* stream,
                                       flagos_plugin_event_t* given) {
  late_event* const event = (late_event*)given;
  const work_t work = {.wait_for = &event->done, .wait_count = event->asked};
  return queue_work(stream, &work);
}

static flagos_status_t late_event_create(flagos_plugin_device_t* device,
                                         const flagos_event_desc_t* desc,
                                         flagos_plugin_event_t** out_event) {
  (void)device, (void)desc;
  *out_event = calloc(1, sizeof(late_event));
  return FLAGOS_STATUS_OK;
}

static flagos_status_t late_record(flagos_plugin_event_t* given, flagos_plugin_stream_t* stream) {
  late_event* const event = (late_event*)given;
  const work_t work = {.count = &event->done};
  ++event->asked;
  return queue_work(stream, &work);
}

static flagos_status_t late_event_synchronize(flagos_plugin_event_t* given, uint64_t timeout_ns) {
  late_event* const event = (late_event*)given;
  return wait_count(&event->done, event->asked, timeout_ns);
}

static flagos_status_t late_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                    int64_t* out_elapsed_ns) {
  const uint64_t from = ((late_event*)start)->done_ns, to = ((late_event*)end)->done_ns;
  *out_elapsed_ns = (int64_t)(to - from);
  return FLAGOS_STATUS_OK;
}

static flagos_status_t late_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 flagos_address_t source, uint64_t size_bytes) {
  const work_t work = {.run = run_copy,
                       .target = pointer_to(target),
                       .source = pointer_to(source),
                       .size_bytes = size_bytes};
  return queue_work(stream, &work);
}

static flagos_status_t late_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 const void* pattern, uint32_t pattern_size_bytes,
                                 uint64_t size_bytes) {
  work_t work = {.run = run_fill,
                 .target = pointer_to(target),
                 .size_bytes = size_bytes,
                 .pattern_bytes = pattern_size_bytes};
  if (pattern_size_bytes > 4) return fail(FLAGOS_STATUS_UNSUPPORTED, "patterns of at most 4 bytes");
  memcpy(&work.pattern, pattern, pattern_size_bytes);
  return queue_work(stream, &work);
}

static flagos_status_t late_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                                   const flagos_launch_desc_t* desc) {
  const flagos_status_t status = late_synchronize(stream, UINT64_MAX);
  return status == FLAGOS_STATUS_OK ? kernel_launch(stream, kernel, desc) : status;
}

flagos_status_t flagos_plugin_open(const flagos_host_t* given, flagos_plugin_t* out_plugin) {
  static flagos_memory_table_t memory_slots;
  static flagos_stream_table_t stream_slots;
  static flagos_event_table_t event_slots;
  static flagos_kernel_table_t kernel_slots;
  const flagos_status_t status = whole_plugin_open(given, out_plugin);
  if (status != FLAGOS_STATUS_OK) return status;
  const char* const told = getenv("FLAGOS_LATE_SEED");
  if (told != NULL) seed = (unsigned)strtoul(told, NULL, 10);
  memory_slots = memory_table;
  memory_slots.copy = late_copy;
  memory_slots.fill = late_fill;
  stream_slots = stream_table;
  stream_slots.create = late_stream_create;
  stream_slots.destroy = late_stream_destroy;
  stream_slots.synchronize = late_synchronize;
  stream_slots.wait_event = late_wait_event;
  event_slots = event_table;
  event_slots.create = late_event_create;
  event_slots.record = late_record;
  event_slots.synchronize = late_event_synchronize;
  event_slots.get_elapsed = late_elapsed;
  kernel_slots = kernel_table;
  kernel_slots.launch = late_launch;
  out_plugin->name = PLUGIN_NAME;
  out_plugin->memory = &memory_slots;
  out_plugin->stream = &stream_slots;
  out_plugin->event = &event_slots;
  out_plugin->kernel = &kernel_slots;
  return FLAGOS_STATUS_OK;
}
