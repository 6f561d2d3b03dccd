#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void ctls_output_free(struct ctls_output *output) {
    free(output->bytes);
    memset(output, 0, sizeof *output);
}

uint8_t *ctls_output_room(struct ctls_output *output, size_t count) {
    if (output->capacity - output->count < count) {
        size_t capacity = (output->count + count) * 2;
        uint8_t *larger = realloc(output->bytes, capacity);
        if (!larger) return NULL;
        output->bytes = larger;
        output->capacity = capacity;
    }
    return output->bytes + output->count;
}

static int bio_write(BIO *bio, const char *bytes, int count) {
    ctls_session *session = BIO_get_data(bio);
    struct ctls_output *output = session->output;
    BIO_clear_retry_flags(bio);
    if (!output || count <= 0) return -1;
    uint8_t *room = ctls_output_room(output, (size_t)count);
    if (!room) return -1;
    memcpy(room, bytes, (size_t)count);
    output->count += (size_t)count;
    if (session->context->detaches) ctls_count_records(&session->wire[CTLS_SENDING], room, (size_t)count);
    return count;
}

static int bio_read(BIO *bio, char *bytes, int count) {
    ctls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->input_count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = session->input_count < (size_t)count ? session->input_count : (size_t)count;
    memcpy(bytes, session->input, taken);
    if (session->context->detaches) ctls_count_records(&session->wire[CTLS_RECEIVING], session->input, taken);
    session->input += taken;
    session->input_count -= taken;
    return (int)taken;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ctls");
    if (!method) return;
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
}

BIO_METHOD *ctls_bytes_method(void) {
    pthread_once(&method_once, make_method);
    return method;
}
