/* A driver for machines without one: what NVML would say is in a text file beside this library.
 *
 * Each line: UUID TOTAL FREE PERCENT PART [PID BYTES]...   (bytes; PART 1: a MIG part of the GPU before it)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long u64;
typedef struct { char uuid[96]; u64 total, free; unsigned percent; int part, count; struct { unsigned pid; u64 used; } who[8]; } Gpu;
typedef struct { u64 total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned pid; u64 used; unsigned instance, compute; } Process;

static Gpu gpus[16];
static int count;

static void read_all(void) {
  Dl_info info;
  char path[4096], line[1024];
  dladdr((void *)read_all, &info);
  snprintf(path, sizeof path, "%s.txt", info.dli_fname);
  FILE *file = fopen(path, "r");
  count = 0;
  while (file && count < 16 && fgets(line, sizeof line, file)) {
    Gpu *g = &gpus[count];
    int at = 0, more;
    if (sscanf(line, "%95s %llu %llu %u %d%n", g->uuid, &g->total, &g->free, &g->percent, &g->part, &at) != 5) continue;
    for (g->count = 0; g->count < 8 && sscanf(line + at, " %u %llu%n", &g->who[g->count].pid, &g->who[g->count].used, &more) == 2; at += more) g->count++;
    count++;
  }
  if (file) fclose(file);
}

/* a handle is an index + 1 */
static Gpu *of(void *handle) { read_all(); return &gpus[(size_t)handle - 1]; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) {
  read_all();
  *n = 0;
  for (int i = 0; i < count; i++) *n += !gpus[i].part;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  for (int i = 0; i < count; i++)
    if (!gpus[i].part && index-- == 0) { *handle = (void *)(size_t)(i + 1); return 0; }
  return 2;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
  read_all();
  for (int i = 0; i < count; i++)
    if (!strcmp(gpus[i].uuid, uuid)) { *handle = (void *)(size_t)(i + 1); return 0; }
  return 6;
}
int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *then) {
  Gpu *g = of(handle);
  *now = *then = g - gpus + 1 < count && g[1].part;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *most) { *most = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **part) {
  size_t at = (size_t)handle + index;
  if (at >= (size_t)count || !gpus[at].part) return 6;
  for (size_t i = (size_t)handle; i < at; i++) if (!gpus[i].part) return 6;
  *part = (void *)(at + 1);
  return 0;
}
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) { snprintf(text, size, "%s", of(handle)->uuid); return 0; }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { snprintf(text, size, "Fake %ld", (long)(size_t)handle); return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, Memory *memory) {
  Gpu *g = of(handle);
  *memory = (Memory){g->total, g->free, g->total - g->free};
  return 0;
}
int nvmlDeviceGetUtilizationRates(void *handle, Rates *rates) {
  Gpu *g = of(handle);
  *rates = (Rates){g->percent, 0};
  return g->part ? 3 : 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *room, Process *rows) {
  Gpu *g = of(handle);
  unsigned had = *room;
  *room = g->count;
  if (had < (unsigned)g->count) return 7;
  for (int i = 0; i < g->count; i++) rows[i] = (Process){g->who[i].pid, g->who[i].used, -1, -1};
  return 0;
}
