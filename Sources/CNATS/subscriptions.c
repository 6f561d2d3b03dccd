// Subscriptions. The one for answers is served by a thread of the library: only there is it told which question has no
// answer because nobody serves its subject.
#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

// Messages on their way from the library's thread to the link's. Both have a share in it.
typedef struct node {
    struct node *next;
    cnats_message *message;
} node;

typedef struct {
    pthread_mutex_t lock;
    node *first, *last;
    int wake_descriptor, owners;
} queue;

struct cnats_subscription {
    subscription *subscription;
    // NULL for one that is asked.
    queue *queue;
};

static queue *queue_create(int wake_descriptor) {
    queue *created = calloc(1, sizeof *created);
    if (!created) return NULL;
    created->owners = 2;
    // Of its own, since the library's thread may outlast the link.
    created->wake_descriptor = dup(wake_descriptor);
    if (created->wake_descriptor >= 0 && pthread_mutex_init(&created->lock, NULL) == 0) return created;
    if (created->wake_descriptor >= 0) close(created->wake_descriptor);
    free(created);
    return NULL;
}

static cnats_message *queue_take(queue *queue) {
    pthread_mutex_lock(&queue->lock);
    node *taken = queue->first;
    if (taken) queue->first = taken->next;
    if (!queue->first) queue->last = NULL;
    pthread_mutex_unlock(&queue->lock);
    cnats_message *message = taken ? taken->message : NULL;
    free(taken);
    return message;
}

static void queue_release(queue *queue) {
    pthread_mutex_lock(&queue->lock);
    int left = --queue->owners;
    pthread_mutex_unlock(&queue->lock);
    if (left > 0) return;
    for (cnats_message *message; (message = queue_take(queue));) cnats_message_destroy(message);
    close(queue->wake_descriptor);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static void completed(void *closure) { queue_release(closure); }

static void received(connection *connection, subscription *subscription, cnats_message *message, void *closure) {
    (void)connection, (void)subscription;
    queue *queue = closure;
    node *added = calloc(1, sizeof *added);
    if (!added) {
        cnats_message_destroy(message);
        return;
    }
    added->message = message;
    pthread_mutex_lock(&queue->lock);
    int is_first = !queue->first;
    if (queue->last) queue->last->next = added;
    else queue->first = added;
    queue->last = added;
    pthread_mutex_unlock(&queue->lock);
    uint64_t one = 1;
    // An eventfd that is full is readable.
    if (is_first && write(queue->wake_descriptor, &one, sizeof one) < 0) return;
}

int cnats_subscribe(cnats_link *link, const char *subject, cnats_subscription **result) {
    *result = calloc(1, sizeof **result);
    if (!*result) return CNATS_FAILED;
    int status = cnats.subscribe(&(*result)->subscription, link->connection, subject);
    if (status == STATUS_OK) {
        // Each is emptied after each read; a limit would only drop messages.
        cnats.set_limits((*result)->subscription, -1, -1);
        return CNATS_OK;
    }
    free(*result);
    *result = NULL;
    return cnats_meaning(status);
}

int cnats_subscribe_to_answers(cnats_link *link, const char *subject, int wake_descriptor,
                               cnats_subscription **result) {
    *result = calloc(1, sizeof **result);
    queue *queue = *result ? queue_create(wake_descriptor) : NULL;
    int status = queue ? cnats.subscribe_calling(&(*result)->subscription, link->connection, subject, received, queue) : -1;
    if (status == STATUS_OK) {
        (*result)->queue = queue;
        cnats.set_limits((*result)->subscription, -1, -1);
        // Where the connection has ended already nobody knows whether the thread has: its share then stays.
        cnats.set_completion((*result)->subscription, completed, queue);
        return CNATS_OK;
    }
    if (queue) {
        queue->owners = 1;
        queue_release(queue);
    }
    free(*result);
    *result = NULL;
    return queue ? cnats_meaning(status) : CNATS_FAILED;
}

void cnats_unsubscribe(cnats_subscription *subscription) {
    if (!subscription) return;
    cnats.unsubscribe(subscription->subscription);
    cnats.subscription_destroy(subscription->subscription);
    if (subscription->queue) queue_release(subscription->queue);
    free(subscription);
}

int cnats_next(cnats_subscription *subscription, cnats_message **message) {
    if (subscription->queue) {
        *message = queue_take(subscription->queue);
        return *message ? CNATS_OK : CNATS_NONE;
    }
    int status = cnats.next(message, subscription->subscription, 0);
    if (status == STATUS_TIMEOUT) return CNATS_NONE;
    return status == STATUS_NO_RESPONDERS ? CNATS_UNSERVED : cnats_meaning(status);
}
